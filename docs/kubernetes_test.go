package docs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// manifests are what is required of each marked yaml block.
var manifests = map[string]func([]map[string]any) error{"stream": checkStream}

// at follows a path of keys, and of numbers in lists, through a document.
func at(document any, keys ...string) any {
	for _, key := range keys {
		switch d := document.(type) {
		case map[string]any:
			document = d[key]
		case []any:
			n, err := strconv.Atoi(key)
			if err != nil || n >= len(d) {
				return nil
			}
			document = d[n]
		default:
			return nil
		}
	}
	return document
}

// checkStream checks what kubernetes.md says of its manifests.
func checkStream(documents []map[string]any) error {
	if len(documents) != 3 {
		return fmt.Errorf("%d documents", len(documents))
	}
	deployment, service, ingress := documents[0], documents[1], documents[2]
	var faults []error
	is := func(document any, want any, keys ...string) {
		if got := at(document, keys...); fmt.Sprint(got) != fmt.Sprint(want) {
			faults = append(faults, fmt.Errorf("%s is %v, not %v", strings.Join(keys, "."), got, want))
		}
	}
	is(deployment, "apps/v1", "apiVersion")
	is(deployment, "Deployment", "kind")
	is(service, "v1", "apiVersion")
	is(service, "Service", "kind")
	is(ingress, "networking.k8s.io/v1", "apiVersion")
	is(ingress, "Ingress", "kind")

	labels := at(deployment, "spec", "template", "metadata", "labels")
	is(deployment, labels, "spec", "selector", "matchLabels")
	is(service, labels, "spec", "selector")
	pod := at(deployment, "spec", "template", "spec")
	container := at(pod, "containers", "0")
	is(service, at(container, "ports", "0", "name"), "spec", "ports", "0", "targetPort")
	is(container, at(container, "ports", "0", "name"), "readinessProbe", "httpGet", "port")
	is(container, "/readyz", "readinessProbe", "httpGet", "path")
	is(container, "/healthz", "livenessProbe", "httpGet", "path")
	is(deployment, 0, "spec", "strategy", "rollingUpdate", "maxUnavailable")
	if n, _ := at(deployment, "spec", "replicas").(int); n < 2 {
		faults = append(faults, errors.New("one replica cannot be rolled"))
	}
	is(container, "sleep", "lifecycle", "preStop", "exec", "command", "0")
	sleep, err := strconv.Atoi(fmt.Sprint(at(container, "lifecycle", "preStop", "exec", "command", "1")))
	grace, _ := at(pod, "terminationGracePeriodSeconds").(int)
	const shutdown = 30 + 10 // of the page's program
	if err != nil || grace <= sleep+shutdown {
		faults = append(faults, fmt.Errorf("terminationGracePeriodSeconds %d is not over %d and %d", grace, sleep, shutdown))
	}

	rule := at(ingress, "spec", "rules", "0")
	backend := at(rule, "http", "paths", "0", "backend", "service")
	is(backend, at(service, "metadata", "name"), "name")
	is(backend, at(service, "spec", "ports", "0", "name"), "port", "name")
	is(ingress, at(rule, "host"), "spec", "tls", "0", "hosts", "0")
	annotations := at(ingress, "metadata", "annotations")
	const prefix = "nginx.ingress.kubernetes.io/"
	is(annotations, "cookie", prefix+"affinity")
	is(annotations, "persistent", prefix+"affinity-mode")
	is(annotations, at(rule, "http", "paths", "0", "path"), prefix+"session-cookie-path")
	is(annotations, "off", prefix+"proxy-buffering")
	for _, name := range []string{"proxy-read-timeout", "proxy-send-timeout"} {
		text, ok := at(annotations, prefix+name).(string) // an annotation is a string
		seconds, err := strconv.Atoi(text)
		if !ok || err != nil || time.Duration(seconds)*time.Second <= 25*time.Second {
			faults = append(faults, fmt.Errorf("%s is %v", name, at(annotations, prefix+name)))
		}
	}
	return errors.Join(faults...)
}

func TestKubernetesManifests(t *testing.T) {
	blocks, _, err := blocksOf("docs/operating/kubernetes.md", readPage(t, "docs/operating/kubernetes.md"))
	require.NoError(t, err)
	text := ""
	for _, b := range blocks {
		if b.markOf("manifest") == "stream" {
			text = b.text
		}
	}
	documents, err := parseYAML(text)
	require.NoError(t, err)
	require.NoError(t, checkStream(documents))

	for _, change := range [][2]string{
		{"terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 30"},
		{"affinity: cookie", "affinity: none"},
		{"persistent", "balanced"},
		{`proxy-read-timeout: "75"`, `proxy-read-timeout: "20"`},
		{`proxy-read-timeout: "75"`, `proxy-read-timeout: 75`},
		{"targetPort: http", "targetPort: web"},
		{"path: /readyz", "path: /stream"},
		{"maxUnavailable: 0", "maxUnavailable: 1"},
		{"session-cookie-path: /stream", "session-cookie-path: /"},
	} {
		require.Contains(t, text, change[0])
		documents, err := parseYAML(strings.Replace(text, change[0], change[1], 1))
		require.NoError(t, err)
		require.Error(t, checkStream(documents), change[1])
	}
}
