package server

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
	"go.yaml.in/yaml/v3"
)

// shortened are the ways in which a page leaves something out of JSON.
var shortened = strings.NewReplacer("{…}", "{}", "[…]", "[]", ",…", "", ":…", ":0")

// TestSnippets: all code of the pages is code: each block names a language and can be parsed. What the
// examples do is tested elsewhere (TestPageConfiguration, TestShapesPage, TestBalancers, make client, make
// browser, make python, and TestPage of server/client).
func TestSnippets(t *testing.T) {
	pages, err := filepath.Glob("web/docs/*.md")
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	parsers := map[string]func(code string) error{
		"yaml": func(code string) error { return yaml.Unmarshal([]byte(code), new(any)) },
		"json": func(code string) error {
			for line := range strings.Lines(code) {
				if err := json.Unmarshal([]byte(shortened.Replace(line)), new(any)); err != nil {
					return err
				}
			}
			return nil
		},
		"sh": func(code string) error {
			cmd := exec.Command("bash", "-n")
			cmd.Stdin = strings.NewReader(code)
			return cmd.Run()
		},
		"js": scriptFault, "ts": scriptFault,
		"py":      pythonFault,
		"haproxy": haproxyFault, "nginx": nginxFault,
		"html": func(code string) error {
			_, script, ok := strings.Cut(code, `<script type="module">`)
			script, _, ended := strings.Cut(script, "</script>")
			if !ok || !ended {
				return errors.New("its script is missing")
			}
			return scriptFault(script)
		},
		"go": func(code string) error {
			_, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+code, 0)
			return err
		},
	}
	n := map[string]int{}
	for _, page := range append(pages, "../README.md") {
		for i, part := range strings.Split("\n"+pageText(t, page), "\n```") {
			language, code, _ := strings.Cut(part, "\n")
			if i%2 == 0 || language == "" || language == "text" { // prose, or a picture
				continue
			}
			parse := parsers[language]
			if n[language]++; parse == nil {
				t.Errorf("%s: nothing parses a block of %q", page, language)
			} else if err := parse(code); err != nil {
				t.Errorf("%s: %v in\n%s", page, err, code)
			}
		}
	}
	for language := range parsers {
		if n[language] == 0 {
			t.Errorf("no page has a block of %s", language)
		}
	}
}

// scriptFault returns why a script cannot be parsed.
func scriptFault(code string) error {
	r := api.Transform(strings.ReplaceAll(code, "=> …", "=> 0"), api.TransformOptions{Loader: api.LoaderTS})
	if len(r.Errors) == 0 {
		return nil
	}
	return errors.New(r.Errors[0].Text)
}

// pythonFault returns why a program cannot be parsed, where there is a Python.
func pythonFault(code string) error {
	if _, err := exec.LookPath("python3"); err != nil {
		return nil
	}
	cmd := exec.Command("python3", "-c", "import ast, sys; ast.parse(sys.stdin.read())")
	cmd.Stdin = strings.NewReader(code)
	return cmd.Run()
}
