package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
)

// Sources is where a configuration comes from, each over the one before it, all over Default.
type Sources struct {
	// File is the YAML file. "": none.
	File string
	// Environ is the environment, as os.Environ has it. Nil: none.
	Environ []string
	// Flags are the keys that the command line set.
	Flags []Flag
	// TryClients also makes librdkafka's clients, as a start would, and closes them. librdkafka
	// refuses some properties only then. The clients connect to nothing.
	TryClients bool
}

// Flag is a key set on the command line.
type Flag struct {
	Name string // "--listen"
	Key  string // "server.listen"
	Text string
}

// maxFile bounds a configuration file, and each file of secrets or keys it names.
const maxFile = 1 << 20

// Load reads, merges and checks a configuration. An error is always of type Faults and holds
// everything that is wrong. The Config is then made of the rest. It may be read (as `tapecast
// token` does) but not run.
func Load(src Sources) (*Config, error) {
	c := newCollector()
	k := koanf.New(delim)
	load := func(p koanf.Provider, pa koanf.Parser) {
		if err := k.Load(p, pa); err != nil {
			panic(fmt.Sprintf("BUG: cannot merge a source that was checked: %s", err))
		}
	}
	load(confmap.Provider(toMap(reflect.ValueOf(*Default())), ""), nil)
	if src.File != "" {
		if b, err := readFile(src.File); err != nil {
			c.addAt(source{name: src.File, line: 1}, "", "cannot read the file: "+reason(err),
				"name a file that can be read with --config, or in TAPECAST_CONFIG")
		} else {
			load(rawbytes.Provider(b), &fileParser{collector: c, file: src.File, dir: filepath.Dir(src.File)})
		}
	}
	names := &envParser{collector: c, classes: k.MapKeys("classes"), tiers: k.MapKeys("limits" + delim + "tiers")}
	load(names.provider(src.Environ), nil)
	load(confmap.Provider(flagMap(c, src.Flags), delim), nil)

	cfg := new(Config)
	if err := k.UnmarshalWithConf("", cfg,
		koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{}}); err != nil {
		panic(fmt.Sprintf("BUG: cannot take values that were checked: %s", err))
	}
	if cfg.Demo() && len(cfg.Ingest.Routes) == 0 && !c.isSet("rooms") {
		cfg.Rooms = append(cfg.Rooms, benchRooms())
	}
	c.completeLimits(cfg)
	c.readSecrets(cfg)
	c.demo, c.clients = src.File == "" && cfg.Demo(), src.TryClients
	c.check(cfg)
	cfg.odd = c.warnings
	if len(c.faults) > 0 {
		return cfg, c.sorted()
	}
	return cfg, nil
}

func flagMap(c *collector, flags []Flag) map[string]any {
	m := map[string]any{}
	for _, f := range flags {
		k, steps := configTree, strings.Split(f.Key, ".")
		for _, s := range steps {
			if k = k.under(s); k == nil {
				panic(fmt.Sprintf("BUG: flag %s sets %q, which is not a key", f.Name, f.Key))
			}
		}
		at := source{name: f.Name}
		v, err := k.parse(f.Text)
		if err != nil {
			c.addAt(at, f.Key, err.Error(), "give "+k.wants())
			continue
		}
		c.sources[f.Key] = at
		m[strings.Join(steps, delim)] = v
	}
	return m
}

// readSecrets fills in the values that are given by the name of a file.
func (c *collector) readSecrets(cfg *Config) {
	a := &cfg.Auth
	if at := c.source("auth.secret"); a.Secret != "" && at.line > 0 && c.isSet("auth.secret") && a.SecretFile == "" {
		a.heldIn = strings.TrimSuffix(at.name, fmt.Sprintf(":%d", at.line))
	}
	fromFile(c, "auth.secret", &a.Secret, &a.SecretFile)
	fromFile(c, "auth.public_key", &a.PublicKey, &a.PublicKeyFile)
	fromFile(c, "auth.redis.secret", &a.Redis.Secret, &a.Redis.SecretFile)
	fromFile(c, "auth.redis.password", &a.Redis.Password, &a.Redis.PasswordFile)
	for i := range a.Keys {
		k, path := &a.Keys[i], index("auth.keys", i)
		fromFile(c, path+".secret", &k.Secret, &k.SecretFile)
		fromFile(c, path+".public_key", &k.PublicKey, &k.PublicKeyFile)
	}
	t, admin := &cfg.Server.TLS, &cfg.Admin
	for key, f := range map[string]*string{
		"server.tls.cert_file": &t.CertFile, "server.tls.key_file": &t.KeyFile,
		"server.tls.client_ca_file": &t.ClientCAFile,
		"admin.tls.cert_file":       &admin.TLS.CertFile, "admin.tls.key_file": &admin.TLS.KeyFile,
		"admin.token_file": &admin.TokenFile, "auth.private_key_file": &a.PrivateKeyFile,
		"auth.redis.ca_file": &a.Redis.CAFile,
		"log.security":       &cfg.Log.Security,
	} {
		if *f != "" && (key != "log.security" || *f != "stderr") {
			*f = c.resolve(key, *f)
		}
	}
	const password = "sasl.password"
	if s, ok := c.readSecret("kafka.librdkafka."+password, "kafka.sasl_password_file", cfg.Kafka.Librdkafka[password],
		cfg.Kafka.SASLPasswordFile); ok {
		if cfg.Kafka.Librdkafka == nil {
			cfg.Kafka.Librdkafka = map[string]string{}
		}
		cfg.Kafka.Librdkafka[password] = s
		cfg.Kafka.SASLPasswordFile = c.resolve("kafka.sasl_password_file", cfg.Kafka.SASLPasswordFile)
	}
}

// fromFile reads a value from the file that is named in its place, whose own name it makes absolute.
func fromFile[T ~string](c *collector, key string, value *T, file *string) {
	if s, ok := c.readSecret(key, key+"_file", string(*value), *file); ok {
		*value, *file = T(s), c.resolve(key+"_file", *file)
	}
}

// readSecret reads the file that fileKey names as the value of textKey, without a last line end.
func (c *collector) readSecret(textKey, fileKey, text, file string) (string, bool) {
	if file == "" {
		return "", false
	}
	if text != "" {
		c.add(fileKey, fmt.Sprintf("is set, and so is %s (%s)", textKey, c.source(textKey).name), "keep one of the two")
		return "", false
	}
	b, err := readFile(c.resolve(fileKey, file))
	if err != nil {
		c.add(fileKey, fmt.Sprintf("cannot read %s: %s", file, reason(err)), "name a file that this user can read")
		return "", false
	}
	s := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if s == "" {
		c.add(fileKey, file+" is empty", "put %s into it", textKey)
		return "", false
	}
	return s, true
}

// resolve makes a file name absolute. Names in the file are relative to its directory.
func (c *collector) resolve(path, file string) string {
	if dir := c.source(path).dir; dir != "" && !filepath.IsAbs(file) {
		return filepath.Join(dir, file)
	}
	return file
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("it is larger than %s", Size(maxFile))
	}
	return b, err
}

// reason returns err without the file's name, which the fault names already.
func reason(err error) string {
	s := err.Error()
	if i := strings.LastIndex(s, ": "); i >= 0 {
		return s[i+2:]
	}
	return s
}
