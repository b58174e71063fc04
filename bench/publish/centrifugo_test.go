package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tapecast/bench/job"
)

// The requests are those that Centrifugo's documentation shows for its batch API.
func TestCentrifugoSink(t *testing.T) {
	var got []string
	fail := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Commands []struct {
				Publish struct {
					Channel string          `json:"channel"`
					Data    json.RawMessage `json:"data"`
				} `json:"publish"`
			} `json:"commands"`
		}
		if r.URL.Path != "/api/batch" || r.Header.Get("X-API-Key") != "k" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		replies := []string{}
		for _, c := range q.Commands {
			got = append(got, c.Publish.Channel+" "+string(c.Publish.Data))
			replies = append(replies, map[bool]string{false: `{"publish":{}}`,
				true: `{"error":{"code":102,"message":"unknown channel"}}`}[fail])
		}
		fmt.Fprintf(w, `{"replies":[%s]}`, strings.Join(replies, ","))
	}))
	defer srv.Close()
	var input *job.InputError
	if _, err := NewCentrifugo(t.Context(), srv.URL+"/api", "wrong"); !errors.As(err, &input) ||
		!strings.Contains(err.Error(), "401") {
		t.Fatalf("%v", err)
	}
	s, err := NewCentrifugo(t.Context(), srv.URL+"/api", "k")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := s.Put(`a"b`, nil, fmt.Appendf(nil, `{"n":%d}`, n)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Close(t.Context()); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if want := []string{`a"b {"n":0}`, `a"b {"n":1}`, `a"b {"n":2}`}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%q", got)
	}
	fail = true
	_ = s.Put("a", nil, []byte("1"))
	if _, err := s.Flush(); err == nil || !strings.Contains(err.Error(), "unknown channel (102)") {
		t.Fatalf("%v", err)
	}
}
