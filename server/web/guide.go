package web

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"tapecast/server/admin"
)

// guide serves the pages of the folder docs.
type guide struct {
	markdown goldmark.Markdown
	page     *template.Template
	texts    map[string][]byte // by name: joining
	names    []string          // in the order of the index
}

const (
	index     = "index"
	maxSearch = 100 // bytes of what is searched for
	maxHits   = 50
)

// named finds the pages that the index names, in its order.
var named = regexp.MustCompile(`\]\(([a-z-]+)\.md\)`)

func newGuide() (*guide, error) {
	transform := parser.WithASTTransformers(util.Prioritized(links{}, 100))
	g := &guide{texts: map[string][]byte{}, markdown: goldmark.New(goldmark.WithExtensions(extension.GFM),
		goldmark.WithParserOptions(parser.WithAutoHeadingID(), transform))}
	var err error
	if g.page, err = template.ParseFS(files, "page.html"); err != nil {
		return nil, err
	}
	list, err := files.ReadDir("docs")
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		b, err := files.ReadFile("docs/" + f.Name())
		if err != nil {
			return nil, err
		}
		g.texts[strings.TrimSuffix(f.Name(), ".md")] = b
	}
	g.names = []string{index}
	for _, m := range named.FindAllSubmatch(g.texts[index], -1) {
		name := string(m[1])
		if g.texts[name] == nil {
			return nil, fmt.Errorf("docs/index.md names %s.md, which does not exist", name)
		}
		if !slices.Contains(g.names, name) {
			g.names = append(g.names, name)
		}
	}
	if len(g.names) != len(g.texts) {
		return nil, fmt.Errorf("docs has %d pages, and docs/index.md names %d", len(g.texts), len(g.names)-1)
	}
	return g, nil
}

// serve answers /docs/guide/NAME with a page, /docs/guide/NAME.md with its text, and
// /docs/guide/?q=WORDS with the sections that have them.
func (g *guide) serve(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/docs/guide/")
	words := r.URL.Query().Get("q")
	b, md := g.texts[cmp.Or(strings.TrimSuffix(name, ".md"), index)], strings.HasSuffix(name, ".md")
	switch {
	case b == nil:
		admin.Refuse(w, http.StatusNotFound, "the guide has no page %s: see /docs/guide/", path.Clean("/"+name))
	case md:
		whole("text/markdown; charset=utf-8", b)(w, r)
	case len(words) > maxSearch:
		admin.Refuse(w, http.StatusBadRequest, "q has %d bytes: search for at most %d", len(words), maxSearch)
	default:
		if words != "" {
			b = g.search(words)
		}
		out, err := g.render(b)
		if err != nil {
			admin.Refuse(w, http.StatusInternalServerError, "cannot render the page: %v", err)
			return
		}
		whole("text/html; charset=utf-8", out)(w, r)
	}
}

// serveList answers /llms.txt: the pages, and what each is about (https://llmstxt.org).
func (g *guide) serveList(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	b.WriteString("# tapecast\n\n> A push gateway: Kafka topics to WebSocket clients, resumed by position on any " +
		"node.\n\n## Guide\n\n")
	for _, name := range g.names {
		fmt.Fprintf(&b, "- [%s](/docs/guide/%s.md)\n", title(g.texts[name]), name)
	}
	b.WriteString("\n## Specifications\n\n- [OpenAPI of the internal port](/openapi.json)\n" +
		"- [AsyncAPI of the socket](/asyncapi.json)\n")
	whole("text/plain; charset=utf-8", b.Bytes())(w, r)
}

// render makes a page of Markdown.
func (g *guide) render(markdown []byte) ([]byte, error) {
	var body, out bytes.Buffer
	if err := g.markdown.Convert(markdown, &body, parser.WithContext(newNames())); err != nil {
		return nil, err
	}
	type link struct{ Name, Title string }
	in := struct {
		Title string
		Pages []link
		Body  template.HTML // ours: goldmark leaves raw HTML out
	}{Title: title(markdown), Body: template.HTML(body.String())}
	for _, name := range g.names {
		in.Pages = append(in.Pages, link{name, title(g.texts[name])})
	}
	err := g.page.Execute(&out, in)
	return out.Bytes(), err
}

// search lists, as Markdown, the sections that have all of the words.
func (g *guide) search(words string) []byte {
	var b bytes.Buffer
	wanted := strings.Fields(strings.ToLower(words))
	fmt.Fprintf(&b, "# Search\n\n")
	hits := 0
	for _, name := range g.names {
		doc := g.markdown.Parser().Parse(text.NewReader(g.texts[name]), parser.WithContext(newNames()))
		for _, s := range sections(doc, g.texts[name]) {
			lower := strings.ToLower(s.text)
			lacks := slices.ContainsFunc(wanted, func(word string) bool { return !strings.Contains(lower, word) })
			if lacks || hits == maxHits {
				continue
			}
			hits++
			fmt.Fprintf(&b, "- [%s](%s.md#%s) in %s\n", s.title, name, s.id, title(g.texts[name]))
		}
	}
	more := ""
	if hits == maxHits {
		more = ", or more"
	}
	fmt.Fprintf(&b, "\n%d sections%s have all of the words.\n", hits, more)
	return b.Bytes()
}

type section struct{ id, title, text string }

// sections cuts a page at its headings.
func sections(doc ast.Node, source []byte) (list []section) {
	for n := doc.FirstChild(); n != nil; n = n.NextSibling() {
		h, ok := n.(*ast.Heading)
		if !ok || h.Lines().Len() == 0 {
			continue
		}
		id, _ := h.AttributeString("id")
		at := h.Lines().At(0)
		if len(list) > 0 {
			last := &list[len(list)-1]
			last.text = last.text[:len(last.text)-len(source)+at.Start]
		}
		idText, _ := id.([]byte)
		list = append(list, section{string(idText), string(at.Value(source)), string(source[at.Start:])})
	}
	return list
}

// names gives headings the names that they have on a forge, so that links lead to them here too.
type names map[string]int // how often each was given

func newNames() parser.Context { return parser.NewContext(parser.WithIDs(names{})) }

// Generate returns the name of a heading: its letters, digits, hyphens and underscores in lower case, with
// hyphens for its spaces, and a number if it was given before.
func (n names) Generate(heading []byte, _ ast.NodeKind) []byte {
	name := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, string(heading))
	times := n[name]
	if n[name]++; times > 0 {
		name += fmt.Sprint("-", times)
	}
	return []byte(name)
}

// Put notes a name that a page gives itself.
func (n names) Put(name []byte) { n[string(name)]++ }

// title returns the first heading of a page.
func title(markdown []byte) string {
	line, _, _ := bytes.Cut(markdown, []byte("\n"))
	return strings.TrimPrefix(string(line), "# ")
}

// links changes the links of a page: a page's is without its .md here, and a file of the repository,
// which is not served, is named without one.
type links struct{}

// Transform changes one page.
func (links) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	var outside []*ast.Link
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // never fails
		l, ok := n.(*ast.Link)
		if !ok || !entering {
			return ast.WalkContinue, nil
		}
		to, part, _ := strings.Cut(string(l.Destination), "#")
		switch {
		case strings.Contains(to, "://") || strings.HasPrefix(to, "/") || to == "":
		case strings.HasPrefix(to, "../"):
			outside = append(outside, l)
		default:
			to = "/docs/guide/" + strings.TrimSuffix(to, ".md")
			if part != "" {
				to += "#" + part
			}
			l.Destination = []byte(to)
		}
		return ast.WalkContinue, nil
	})
	for _, l := range outside {
		parent := l.Parent()
		for c := l.FirstChild(); c != nil; c = l.FirstChild() {
			parent.InsertBefore(parent, l, c)
		}
		parent.RemoveChild(parent, l)
	}
}
