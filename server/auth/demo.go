package auth

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tapecast/server/auth/keyset"
	"tapecast/server/config"
)

// DemoSecret returns the HS256 key of runs that configure none. It is made on first use and kept in
// a file of the user's configuration directory that only the user can read, so that `tapecast
// token` and `tapecast run` agree. Without such a directory (no HOME) it is made for this run only,
// and file is "".
func DemoSecret() (secret config.Secret, file string, err error) {
	text, file, err := demoFile("demo.secret", "the demo secret", "auth.secret")
	return config.Secret(text), file, err
}

// DemoAdminToken makes sure that the file with the token for the demo's internal port exists, and
// returns its name. It is beside the demo secret, made on first use, and only the user can read it.
// The name is "" if there is no directory for it.
func DemoAdminToken() (file string, err error) {
	_, file, err = demoFile("demo.admin-token", "the demo's admin token", "admin.token_file")
	return file, err
}

// KeepDemoBroker writes the address of the demo's broker to a file beside its secret. Programs that
// publish to the demo, such as tapecast-bench, read it there. forget removes the file, unless
// another demo has replaced it since.
func KeepDemoBroker(listen string, brokers []string) (forget func(), err error) {
	text, err := json.Marshal(map[string]any{"listen": listen, "brokers": brokers})
	if err != nil {
		return nil, err
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return func() {}, nil // there is no directory for it
	}
	file := filepath.Join(dir, "tapecast", "demo.broker")
	if err = os.MkdirAll(filepath.Dir(file), 0o700); err == nil {
		err = replace(file, string(text))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot keep the address of the demo's broker: %w", err)
	}
	return func() {
		if b, err := os.ReadFile(file); err == nil && string(b) == string(text) {
			os.Remove(file)
		}
	}, nil
}

// demoFile returns the text of a file of the demo, which is created if it does not exist. For
// errors, what names its content and instead the key that could be set.
func demoFile(name, what, instead string) (text, file string, err error) {
	fresh := newSecret()
	dir, err := os.UserConfigDir()
	if err != nil {
		return fresh, "", nil
	}
	dir = filepath.Join(dir, "tapecast")
	file = filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", file, fmt.Errorf("cannot keep %s: %w; set %s instead", what, err, instead)
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = createOnce(file, fresh)
		if err == nil {
			b, err = os.ReadFile(file)
		}
	}
	if err != nil {
		return "", file, fmt.Errorf("cannot keep %s: %w; set %s instead", what, err, instead)
	}
	if len(b) < keyset.MinSecret {
		return "", file, fmt.Errorf("%s in %s has %d bytes, and %d or more are wanted; "+
			"remove the file to have it made again", what, file, len(b), keyset.MinSecret)
	}
	return string(b), file, nil
}

// createOnce creates a file completely or not at all, unless another process created it first.
func createOnce(file, text string) error {
	tmp, err := written(filepath.Dir(file), text)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// replace replaces the text of a file, completely or not at all.
func replace(file, text string) error {
	tmp, err := written(filepath.Dir(file), text)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, file); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}

// written writes a text to a new file that only its owner can read, and returns its name.
func written(dir, text string) (file string, err error) {
	tmp, err := os.CreateTemp(dir, ".demo-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = tmp.WriteString(text)
	if err = errors.Join(err, tmp.Close()); err != nil {
		os.Remove(tmp.Name())
		return "", err
	}
	return tmp.Name(), nil
}

func newSecret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
