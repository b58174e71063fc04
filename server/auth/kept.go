package auth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/valyala/fastjson"
)

const (
	// maxClaimValues is how many values a claim may have that a rule names. A room of each may be joined.
	maxClaimValues = 256
	// maxClaimBytes bounds the claims that are kept of one token, for as long as its connection stays.
	maxClaimBytes = 4 << 10
)

// Claims are the claims of a token that rules of the configuration name (Authenticator.Keep). They do
// not change once made, so that many may share them. Nil has none.
type Claims struct {
	List []Claim // sorted by name
}

// Claim is one claim of a token, by its exact name.
type Claim struct {
	Name string
	// Text is the value if it is a string, or else what a number, true or false looks like in JSON.
	Text string
	// Words says that Text is a string, whose words count too.
	Words bool
	// List has the strings, numbers and truth values of a list. An object has no value.
	List []string
}

// Has reports whether the claim is, lists, or has among its words that value. Nothing has "".
func (c *Claim) Has(value string) bool {
	switch {
	case value == "":
		return false
	case c.Text == value || slices.Contains(c.List, value):
		return true
	case c.Words:
		for word := range strings.FieldsSeq(c.Text) {
			if word == value {
				return true
			}
		}
	}
	return false
}

// Has reports whether the claim of that name has the value.
func (c *Claims) Has(name, value string) bool {
	claim := c.named(name)
	return claim != nil && claim.Has(value)
}

// Value returns the one value of a claim: its text. It is "" for a list.
func (c *Claims) Value(name string) string {
	if claim := c.named(name); claim != nil {
		return claim.Text
	}
	return ""
}

// Values returns the values of a claim: those of its list, or the words of its text. Each comes once.
func (c *Claims) Values(name string) (values []string) {
	claim := c.named(name)
	if claim == nil {
		return nil
	}
	add := func(s string) {
		if s != "" && !slices.Contains(values, s) {
			values = append(values, s)
		}
	}
	for _, s := range claim.List {
		add(s)
	}
	for word := range strings.FieldsSeq(claim.Text) {
		add(word)
	}
	return values
}

// Equal reports whether both have the same claims.
func (c *Claims) Equal(other *Claims) bool {
	if c == nil || other == nil {
		return c == other
	}
	return slices.EqualFunc(c.List, other.List, func(a, b Claim) bool {
		return a.Name == b.Name && a.Text == b.Text && a.Words == b.Words && slices.Equal(a.List, b.List)
	})
}

// size returns the bytes that the claims take.
func (c *Claims) size() (n int) {
	if c == nil {
		return 0
	}
	const claim, text = 72, 16 // without what they refer to
	for i := range c.List {
		n += claim + len(c.List[i].Text)
		for _, s := range c.List[i].List {
			n += text + len(s)
		}
	}
	return n
}

func (c *Claims) named(name string) *Claim {
	if c != nil {
		for i := range c.List {
			if c.List[i].Name == name {
				return &c.List[i]
			}
		}
	}
	return nil
}

// kept returns the names of the claims that identities hold.
func (a *Authenticator) kept() []string {
	if names := a.keeps.Load(); names != nil {
		return *names
	}
	return nil
}

// maxKeeps is how many names of claims there may be since the start.
const maxKeeps = 1024

// Keep makes identities hold the claims of those names, too. Tokens that were good before are checked
// again, since their identities lack them. An identity with a Looked of at least looked has them all.
func (a *Authenticator) Keep(names ...string) (looked uint16, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	if was := a.keeps.Load(); was != nil {
		all = slices.Clip(*was)
	}
	before := len(all)
	for _, name := range names {
		at := slices.Index(all, name)
		if at < 0 {
			at = len(all)
			all = append(all, name)
		}
		looked = max(looked, uint16(at+1))
	}
	if len(all) > maxKeeps {
		return 0, fmt.Errorf("rules have named more than %d claims since the start: restart the node", maxKeeps)
	}
	if len(all) > before {
		a.keeps.Store(&all)
		a.known.generation.Add(1)
	}
	return looked, nil
}

// claimOf reads a claim's value.
func claimOf(v *fastjson.Value) (c Claim) {
	switch v.Type() {
	case fastjson.TypeString:
		c.Text, c.Words = string(v.GetStringBytes()), true
	case fastjson.TypeArray:
		for _, x := range v.GetArray() {
			switch x.Type() {
			case fastjson.TypeString:
				c.List = append(c.List, string(x.GetStringBytes()))
			case fastjson.TypeNumber, fastjson.TypeTrue, fastjson.TypeFalse:
				c.List = append(c.List, x.String())
			}
		}
	case fastjson.TypeNumber, fastjson.TypeTrue, fastjson.TypeFalse:
		c.Text = v.String()
	}
	return c
}

// keep adds a claim to those that are kept, or notes that it is too large. The signature may not have
// been checked yet.
func (c *claims) keep(name string, v *fastjson.Value) {
	claim := claimOf(v)
	n, bytes := len(claim.List), len(claim.Text)
	if claim.Words {
		n = len(strings.Fields(claim.Text))
	}
	for _, s := range claim.List {
		bytes += len(s)
	}
	if c.keptBytes += bytes; c.tooLarge == nil && (n > maxClaimValues || c.keptBytes > maxClaimBytes) {
		c.tooLarge = &claimError{name}
	}
	if n > 0 || bytes > 0 {
		claim.Name = name
		c.kept = append(c.kept, claim)
	}
}

// identity returns what the token says, once it is found to be good.
func (c *claims) identity(expires int64) Identity {
	id := Identity{User: c.Subject, Expires: expires, ID: c.ID, Issued: c.issued(), Looked: uint16(len(c.keeps))}
	if len(c.kept) > 0 {
		slices.SortFunc(c.kept, func(a, b Claim) int { return strings.Compare(a.Name, b.Name) })
		id.Claims = &Claims{List: c.kept}
	}
	return id
}

// claimError says which claim is larger than what is kept of a token.
type claimError struct{ name string }

// Error names the claim.
func (e *claimError) Error() string {
	return fmt.Sprintf("the token's claim %q has more than %d values, or is too long: the claims that rules name here "+
		"may have %d bytes together", e.name, maxClaimValues, maxClaimBytes)
}
