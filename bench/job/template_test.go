package job

import (
	"errors"
	"strings"
	"testing"
)

func TestTemplate(t *testing.T) {
	x, err := ParseTemplate(`{"id":{{seq}},"account":"{{key}}","data":{{value}},"again":"{{key}}/{{seq}}"}`)
	if err != nil {
		t.Fatal(err)
	}
	got := string(x.Fill([]byte("before "), []byte(`{"v":1}`), "k7", 42))
	if want := `before {"id":42,"account":"k7","data":{"v":1},"again":"k7/42"}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if x, err := ParseTemplate(""); x != nil || err != nil {
		t.Errorf("%v, %v", x, err)
	}
	f := func(want, text string) {
		t.Helper()
		_, err := ParseTemplate(text)
		var input *InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	f("once", `{"key":"{{key}}"}`)
	f("once", `[{{value}},{{value}}]`)
	f("not JSON", `{"data":{{value}}`)
	f("not JSON", `{"key":{{key}},"data":{{value}}}`)
	f("are more than", `[{{value}},"`+strings.Repeat("x", mostTemplate)+`"]`)
}
