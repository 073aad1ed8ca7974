package debugpage

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/holdfast-ws/holdfast/internal/registry"
)

// BenchmarkPage1000 answers at 1,000 connections that have 60 round trips each.
func BenchmarkPage1000(b *testing.B) {
	rec := newRecorder()
	defer rec.start()()
	newCrowdOf1000(b)
	for _, m := range registry.Members() {
		for i := range 60 {
			rec.RTT(m, time.Duration(i)*time.Millisecond)
		}
	}
	h := newHandler(nil, rec)
	for _, bench := range []struct{ name, query string }{
		{"100 of them", ""}, {"all of them", "?per=1000"}, {"sorted by error", "?sort=error"}, {"filtered", "?q=feed/7+refused"}, {"JSON", "?format=json&per=1000"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug/holdfast"+bench.query, nil))
				b.ReportMetric(float64(w.Body.Len())/1024, "KiB/page")
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
