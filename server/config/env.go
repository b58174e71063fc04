package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
)

const (
	// EnvPrefix begins the name of every environment variable that sets a key.
	EnvPrefix = "TAPECAST_"
	// EnvFile is the variable that names the file if no flag does.
	EnvFile = EnvPrefix + "CONFIG"
)

// delim separates the steps of a path inside koanf. librdkafka's properties contain dots.
const delim = "\x1f"

var stringType = reflect.TypeFor[string]()

// notOurs matches variables that begin with the prefix and set no key: EnvFile, those of the tests,
// and those that Kubernetes puts into every container beside a Service named tapecast (or
// tapecast-admin, …).
var notOurs = regexp.MustCompile(
	`^TAPECAST_((CONFIG|DATA|COVERPKG|E2E_[A-Z]+)$|` +
		`([A-Z0-9_]+_)?SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|` +
		`([A-Z0-9_]+_)?PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$)`)

// envParser resolves variables against the tree of keys. An empty one sets nothing, as is usual.
type envParser struct {
	*collector
	classes []string // names that may stand below classes
	tiers   []string // and below limits.tiers
}

// provider reads the given environment (as os.Environ has it).
func (p *envParser) provider(environ []string) koanf.Provider {
	return env.Provider(delim, env.Opt{
		Prefix:        EnvPrefix,
		TransformFunc: p.set,
		EnvironFunc: func() []string {
			return slices.DeleteFunc(slices.Clone(environ), func(e string) bool { return !strings.Contains(e, "=") })
		},
	})
}

// set returns the path and value that a variable stands for. The path is "" if there is none.
func (p *envParser) set(name, text string) (string, any) {
	if text == "" || notOurs.MatchString(name) {
		return "", nil
	}
	at := source{name: name}
	k, steps := p.resolve(configTree, strings.TrimPrefix(name, EnvPrefix), nil)
	if k == nil {
		p.unknown(at, name)
		return "", nil
	}
	path := strings.Join(steps, ".")
	v, err := k.parse(text)
	if err != nil {
		p.addAt(at, path, err.Error(), "give "+k.wants())
		return "", nil
	}
	p.sources[path] = at
	return strings.Join(steps, delim), v
}

func (p *envParser) below(k *key) []string {
	if k.kind == kindSection {
		return k.names()
	}
	if k.name == "tiers" {
		return p.tiers
	}
	return p.classes
}

// resolve finds the key below k that rest names, in capitals with underscores. Keys contain
// underscores themselves, so every key that rest could begin with is tried, the longest first.
func (p *envParser) resolve(k *key, rest string, steps []string) (*key, []string) {
	switch k.kind {
	case kindNamed, kindSection:
		names := slices.Clone(p.below(k))
		slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
		for _, n := range names {
			tail, ok := strings.CutPrefix(rest, envName(n))
			if !ok || tail != "" && tail[0] != '_' {
				continue
			}
			if found, path := p.resolve(k.under(n), strings.TrimPrefix(tail, "_"), append(steps, n)); found != nil {
				return found, path
			}
		}
		return nil, nil
	case kindStringMap: // librdkafka's names hold dots, never underscores
		if rest == "" {
			return nil, nil
		}
		name := strings.ToLower(strings.ReplaceAll(rest, "_", "."))
		return k.under(name), append(steps, name)
	case kindList, kindRules, kindConditions: // in the file only
		return nil, nil
	}
	if rest != "" {
		return nil, nil
	}
	return k, steps
}

// unknown handles a variable that sets no key. If its name is close to a key's, it is a mistake and
// a fault. Other variables may belong to other programs, such as TAPECAST_VERSION of an image.
func (p *envParser) unknown(at source, name string) {
	rest := strings.TrimPrefix(name, EnvPrefix)
	const none = "no key is set by this variable"
	if inFile := p.names(configTree, "", false); slices.Contains(inFile, rest) {
		p.addAt(at, "", none, "it is set in the file only, and librdkafka's settings each by a name of their own, "+
			"such as TAPECAST_KAFKA_LIBRDKAFKA_CLIENT_ID")
		return
	}
	if n := slipOf(rest, p.names(configTree, "", true)); n != "" {
		p.addAt(at, "", none, fmt.Sprintf("did you mean %s%s?", EnvPrefix, n))
		return
	}
	do := "unset it, or name a key as TAPECAST_SECTION_KEY"
	var same []string
	for _, path := range configTree.pathsTo(strings.ToLower(rest), "") {
		same = append(same, EnvPrefix+envName(path))
	}
	if same != nil {
		do = "did you mean " + strings.Join(same, " or ") + "?"
	}
	p.warnings = append(p.warnings, fmt.Sprintf("%s: %s; %s", name, none, do))
}

// slipOf returns the name that was most likely meant by a misspelt one, or by one with a missing or
// extra part, or "". The function nearest guesses further, and is for names that must be keys.
func slipOf(s string, names []string) string {
	return closest(s, names, max(1, len(s)/5), func(begin, whole string) bool {
		return strings.Contains(begin, "_") && 2*len(begin) > len(whole)
	})
}

// names returns the variables of all keys below k without prefix: those that can be set, or the rest.
func (p *envParser) names(k *key, prefix string, settable bool) []string {
	var out []string
	switch k.kind {
	case kindSection, kindNamed:
		for _, n := range p.below(k) {
			name := strings.TrimPrefix(prefix+"_"+envName(n), "_")
			out = append(out, p.names(k.under(n), name, settable)...)
		}
	default:
		inFile := k.kind == kindList || k.kind == kindStringMap || k.kind == kindRules || k.kind == kindConditions
		if settable != inFile {
			out = append(out, prefix)
		}
	}
	return out
}

func envName(name string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))
}
