package debugpage_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/holdfast-ws/holdfast/debugpage"
)

// The page goes where the program says, behind what guards it.
func ExampleHandler() {
	mux := http.NewServeMux()
	mux.Handle("/debug/holdfast", requireAdmin(debugpage.Handler(nil)))

	for _, password := range []string{"", "opensesame"} {
		r := httptest.NewRequest(http.MethodGet, "/debug/holdfast", nil)
		r.SetBasicAuth("admin", password)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("Content-Type"))
	}
	// Output:
	// 401 text/plain; charset=utf-8
	// 200 text/html; charset=utf-8
}

// requireAdmin stands for the program's own authentication.
func requireAdmin(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "opensesame" {
			w.Header().Set("WWW-Authenticate", `Basic realm="debug"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}
