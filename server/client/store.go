package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// stored is how many rooms have their positions stored.
const stored = 1000

// Storage keeps the positions of one client across runs of the program. Save is called on the
// goroutine of the handlers, once a second at most, and when the client ends.
type Storage interface {
	Load() ([]byte, error) // nil if there is nothing
	Save([]byte) error
}

// FileStorage keeps positions in a file, which it replaces as a whole.
func FileStorage(path string) Storage { return file(path) }

type file string

// Load returns what the file has. There may be none.
func (f file) Load() ([]byte, error) {
	b, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// Save replaces the file.
func (f file) Save(b []byte) error {
	next, err := os.CreateTemp(filepath.Dir(string(f)), filepath.Base(string(f))+".*")
	if err != nil {
		return err
	}
	_, err = next.Write(b)
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(next.Name(), string(f))
	}
	if err != nil {
		_ = os.Remove(next.Name()) // the first error is told
	}
	return err
}

// store is what an earlier run left, and this one has not asked for yet.
type store struct{ left ordered[Positions] }

// place is where one room stood.
type place struct {
	Room      string    `json:"room"`
	Positions Positions `json:"positions"`
}

func (s *store) read(from Storage) error {
	if from == nil {
		return nil
	}
	b, err := from.Load()
	if err != nil || len(b) == 0 {
		return err
	}
	var all []place
	if err := json.Unmarshal(b, &all); err != nil {
		return fmt.Errorf("what was stored is not ours: %w", err)
	}
	for _, p := range all {
		if p.Positions.sound() {
			s.left.put(p.Room, p.Positions)
		}
	}
	return nil
}

// take returns where the room stood, once.
func (s *store) take(room string) (Positions, bool) {
	at, ok := s.left.get(room)
	s.left.delete(room)
	return at, ok
}

// write stores where rooms stand. Those with a snapshot begin with it in each run, and those with
// state of their own with that.
func (s *store) write(to Storage, rooms *ordered[*Room]) error {
	all := make([]place, 0, s.left.len()+rooms.len())
	for room, at := range s.left.all() {
		all = append(all, place{room, at})
	}
	for _, m := range rooms.all() {
		if m.at.Epoch != "" && !m.keyed && m.of().options.load == nil {
			all = append(all, place{m.name, m.at})
		}
	}
	b, err := json.Marshal(all[max(0, len(all)-stored):])
	if err != nil {
		return err
	}
	return to.Save(b)
}
