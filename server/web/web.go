package web

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"net/http"

	"github.com/swaggest/swgui/v5emb"
)

//go:embed docs/*.md page.html openapi.yaml asyncapi.yaml
var files embed.FS

// Page is a path of the internal port, or all paths below it if it ends in a slash.
type Page struct {
	Path  string
	Serve http.HandlerFunc
}

// ownOnly is the policy of pages that take nothing from elsewhere.
const ownOnly = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"

// swaggerOnly is that of Swagger UI, whose page has its script in it.
const swaggerOnly = "default-src 'self'; base-uri 'none'; script-src 'self' 'unsafe-inline'; " +
	"style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"

// New returns the pages. It fails if a file of this package is at fault.
func New() ([]Page, error) {
	g, err := newGuide()
	if err != nil {
		return nil, err
	}
	pages := []Page{
		{"/docs/", policy(swaggerOnly, v5emb.New("tapecast", "/openapi.json", "/docs/").ServeHTTP)},
		{"/docs/guide/", policy(ownOnly, g.serve)},
		{"/llms.txt", policy(ownOnly, g.serveList)},
	}
	for _, name := range []string{"openapi", "asyncapi"} {
		spec, err := readSpec(name)
		if err != nil {
			return nil, err
		}
		pages = append(pages, Page{"/" + name + ".json", whole("application/json", spec.text)})
		if name == "asyncapi" {
			text, err := g.render(spec.page())
			if err != nil {
				return nil, err
			}
			pages = append(pages, Page{"/docs/asyncapi", policy(ownOnly, whole("text/html; charset=utf-8", text))})
		}
	}
	return pages, nil
}

// whole serves a text that never changes.
func whole(kind string, text []byte) http.HandlerFunc {
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(text))
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("ETag", tag)
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(text) // the client may be gone
	}
}

func policy(of string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", of)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next(w, r)
	}
}
