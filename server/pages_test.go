package server

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// frontPages are the documents outside the documentation's folder.
var frontPages = []string{"../README.md", "../bench/RESULTS.md"}

// TestPages: each relative link of README and of a documentation page leads to a file, and
// to a heading of it where it names one; a cell of a table has at most 120 characters; the
// index links each page; README is a front page of at most 160 lines.
func TestPages(t *testing.T) {
	pages, err := filepath.Glob("web/docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("there are no pages: %v", err)
	}
	if n := strings.Count(pageText(t, "../README.md"), "\n"); n > 160 {
		t.Errorf("README has %d lines: 160 at most", n)
	}
	index := pageText(t, "web/docs/index.md")
	for _, page := range pages {
		if name := filepath.Base(page); name != "index.md" && !strings.Contains(index, "]("+name+")") {
			t.Errorf("the index has no link to %s", name)
		}
	}
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range append(pages, frontPages...) {
		for n, line := range strings.Split(withoutCode(pageText(t, page)), "\n") {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				checkLink(t, page, m[1])
			}
			if !strings.HasPrefix(line, "|") {
				continue
			}
			for _, cell := range strings.Split(line, "|") {
				if l := utf8.RuneCountInString(strings.TrimSpace(cell)); l > 120 {
					t.Errorf("%s, line %d: a cell has %d characters: 120 at most", page, n+1, l)
				}
			}
		}
	}
}

// checkLink reports a link of the page to a file or a heading that does not exist.
func checkLink(t *testing.T, page, link string) {
	t.Helper()
	if strings.Contains(link, "://") {
		return
	}
	file, heading, _ := strings.Cut(link, "#")
	target := page
	if file != "" {
		target = filepath.Join(filepath.Dir(page), file)
	}
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s links to %s: %v", page, link, err)
		return
	}
	if heading == "" {
		return
	}
	for line := range strings.Lines(withoutCode(pageText(t, target))) {
		if strings.HasPrefix(line, "#") && anchor(strings.TrimLeft(line, "# ")) == heading {
			return
		}
	}
	t.Errorf("%s links to %s: %s has no such heading", page, link, target)
}

// anchor returns the name by which a forge links a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}

// withoutCode returns the text with the lines of code blocks emptied.
func withoutCode(text string) string {
	lines, code := strings.Split(text, "\n"), false
	for i, line := range lines {
		fence := strings.HasPrefix(line, "```")
		if code || fence {
			lines[i] = ""
		}
		code = code != fence
	}
	return strings.Join(lines, "\n")
}

// pageText returns the text of a page.
func pageText(t *testing.T, page string) string {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
