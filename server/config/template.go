package config

import "strings"

// Template is a name of auto_join, or the owner of a class: a text that may hold one placeholder.
type Template struct {
	Before, After string // the text around it; After is "" if there is none
	Hole          string // the placeholder, such as {sub}; "": none
	Claim         string // of {claims.NAME} and {claims.NAME[]}; "": it is {sub}
	Each          bool   // {claims.NAME[]}: each value of the claim, not its one value
}

// ParseTemplate reads a text with at most one of {sub}, {claims.NAME} and {claims.NAME[]}.
func ParseTemplate(text string) (t Template, ok bool) {
	begin := strings.IndexByte(text, '{')
	if begin < 0 {
		return Template{Before: text}, !strings.Contains(text, "}")
	}
	end := strings.IndexByte(text, '}')
	if end < begin {
		return t, false
	}
	t = Template{Before: text[:begin], Hole: text[begin : end+1], After: text[end+1:]}
	inside := text[begin+1 : end]
	if inside != "sub" {
		t.Claim, ok = strings.CutPrefix(inside, "claims.")
		t.Claim, t.Each = strings.CutSuffix(t.Claim, "[]")
		if !ok || t.Claim == "" || strings.ContainsAny(t.Claim, "{[]*") {
			return t, false
		}
	}
	return t, !strings.ContainsAny(t.After, "{}")
}

// isOwner reports whether the template can be a class's owner: a placeholder alone.
func (t *Template) isOwner() bool { return t.Hole != "" && t.Before == "" && t.After == "" }

// with returns the name with a value in place of the placeholder.
func (t *Template) with(value string) string {
	if t.Hole == "" {
		return t.Before
	}
	return t.Before + value + t.After
}
