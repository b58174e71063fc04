package web

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// port serves the pages as the internal port does.
func port(t *testing.T) func(path string, headers ...string) (int, http.Header, string) {
	t.Helper()
	pages, err := New()
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, p := range pages {
		mux.HandleFunc(p.Path, p.Serve)
	}
	return func(path string, headers ...string) (int, http.Header, string) {
		t.Helper()
		r := httptest.NewRequest("GET", path, nil)
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w.Code, w.Header(), w.Body.String()
	}
}

// TestGuide: each page of the folder is served, its links lead to pages and headings that exist, and its
// twin is its text.
func TestGuide(t *testing.T) {
	get := port(t)
	link, id := regexp.MustCompile(`href="([^"]+)"`), regexp.MustCompile(` id="([^"]+)"`)
	pages := map[string]string{}
	files, err := files.ReadDir("docs")
	if err != nil || len(files) < 20 {
		t.Fatal(len(files), err)
	}
	for _, f := range files {
		name := "/docs/guide/" + strings.TrimSuffix(f.Name(), ".md")
		code, header, body := get(name)
		if code != 200 || header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(body, "<h1") {
			t.Errorf("%s: %d %v", name, code, header)
		}
		pages[name] = body
		code, _, text := get(name + ".md")
		if first, _, _ := strings.Cut(text, "\n"); code != 200 || !strings.HasPrefix(first, "# ") {
			t.Errorf("%s.md: %d %q", name, code, first)
		}
	}
	links := 0
	for from, body := range pages {
		for _, m := range link.FindAllStringSubmatch(body, -1) {
			to, part, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, "://") {
				continue
			}
			links++
			if to == "" {
				to = from
			}
			there, known := pages[to]
			if !known {
				code, _, text := get(to)
				if there = text; code != 200 {
					t.Errorf("%s leads to %s, which is answered with %d", from, m[1], code)
				}
			}
			if part == "" {
				continue
			}
			headings := id.FindAllStringSubmatch(there, -1)
			if !slices.ContainsFunc(headings, func(m []string) bool { return m[1] == part }) {
				t.Errorf("%s leads to %s, which has no such heading", from, m[1])
			}
		}
	}
	if links < 500 {
		t.Errorf("%d links", links)
	}
	if code, _, body := get("/docs/guide/nothing"); code != 404 || !strings.Contains(body, "/docs/guide/") {
		t.Errorf("%d %s", code, body)
	}
	_, header, _ := get("/docs/guide/joining")
	if code, _, _ := get("/docs/guide/joining", "If-None-Match", header.Get("ETag")); code != 304 {
		t.Errorf("a page that has not changed: %d", code)
	}
}

// TestSearch: all words must be in a section, in any case, and what is searched for is only text.
func TestSearch(t *testing.T) {
	get := port(t)
	f := func(query, want string) {
		t.Helper()
		if _, _, body := get("/docs/guide/?q=" + query); !strings.Contains(body, want) {
			t.Errorf("%s has no %s:\n%s", query, want, body)
		}
	}
	f("SEAM+retry", "0 sections")
	f("seam", `href="/docs/guide/joining#how-does-a-client-join-a-room-and-resume-it"`)
	f("snapshot_begin+partial", `href="/docs/guide/joining#what-does-a-snapshot-look-like"`)
	f("%3Cscript%3Ealert(1)", "0 sections")
	if _, _, body := get("/docs/guide/?q=%3Cscript%3Ealert(1)"); strings.Contains(body, "alert(1)") {
		t.Errorf("the page repeats what was searched for:\n%s", body)
	}
	if code, _, _ := get("/docs/guide/?q=" + strings.Repeat("x", maxSearch+1)); code != 400 {
		t.Errorf("a long search is answered with %d", code)
	}
}

// TestNothingFromElsewhere: no page takes a script, a style or a picture from another host.
func TestNothingFromElsewhere(t *testing.T) {
	get := port(t)
	own := regexp.MustCompile(`(?:src|href)="(/docs/[^"]+\.(?:js|css|png))"`)
	foreign := regexp.MustCompile(`(src|href|url)\s*[=(]\s*["']?(https?:)?//[^"' )]+`)
	for _, path := range []string{"/docs/", "/docs/asyncapi", "/docs/guide/index"} {
		code, header, body := get(path)
		if m := foreign.FindString(body); code != 200 || m != "" {
			t.Errorf("%s: %d, %q", path, code, m)
		}
		if header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s has no policy", path)
		}
		for _, m := range own.FindAllStringSubmatch(body, -1) {
			if code, _, text := get(m[1]); code != 200 || text == "" {
				t.Errorf("%s takes %s, which is answered with %d", path, m[1], code)
			}
		}
	}
}

// TestSpecs: both are JSON, every reference leads to something, every message has a place on the page
// and in the list of pages, and llms.txt names every page.
func TestSpecs(t *testing.T) {
	get := port(t)
	_, _, page := get("/docs/asyncapi")
	for name, version := range map[string]string{"openapi": "3.1.0", "asyncapi": "3.0.0"} {
		code, header, text := get("/" + name + ".json")
		var doc map[string]any
		if err := json.Unmarshal([]byte(text), &doc); err != nil || code != 200 || doc[name] != version ||
			header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s: %d %v %v", name, code, err, header)
		}
		s := &spec{doc: doc}
		for _, ref := range regexp.MustCompile(`"\$ref":"#/([^"]+)"`).FindAllStringSubmatch(text, -1) {
			if len(s.at(strings.Split(ref[1], "/")...)) == 0 {
				t.Errorf("%s refers to %s, which does not exist", name, ref[1])
			}
		}
		for message := range s.at("components", "messages") {
			if !strings.Contains(page, `<h3 id="`+message+`">`) && !strings.Contains(page, ">"+message+"</h3>") {
				t.Errorf("the page has no %s", message)
			}
		}
	}
	code, _, list := get("/llms.txt")
	pages, err := files.ReadDir("docs")
	for _, f := range pages {
		if code != 200 || err != nil || !strings.Contains(list, "(/docs/guide/"+f.Name()+")") {
			t.Errorf("llms.txt has no %s: %d %v\n%s", f.Name(), code, err, list)
		}
	}
}
