package server

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// DemoSecret is the HS256 key of runs that configure none. It is made on first use
// and kept in the user's configuration directory, readable by nobody else, so that
// `tapecast token` and `tapecast run` agree; file is where. Without such a directory
// (no HOME) it is made for this run only, and file is "".
func DemoSecret() (secret Secret, file string, err error) {
	fresh := Secret(newSecret())
	dir, err := os.UserConfigDir()
	if err != nil {
		return fresh, "", nil
	}
	dir = filepath.Join(dir, "tapecast")
	file = filepath.Join(dir, "demo.secret")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", file, fmt.Errorf("cannot keep the demo secret: %w; set auth.secret instead", err)
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = createOnce(file, string(fresh))
		if err == nil {
			b, err = os.ReadFile(file)
		}
	}
	if err != nil {
		return "", file, fmt.Errorf("cannot keep the demo secret: %w; set auth.secret instead", err)
	}
	if len(b) < minSecret {
		return "", file, fmt.Errorf("the demo secret in %s has %d bytes, and HS256 wants %d or more; remove the file to have it made anew", file, len(b), minSecret)
	}
	return Secret(b), file, nil
}

// createOnce creates a file whole or not at all, and leaves one alone that another
// process created first.
func createOnce(file, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".demo.secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(text)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// newSecret is 32 random bytes in printable form.
func newSecret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
