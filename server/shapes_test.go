package server

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/ingest/route"
	"tapecast/rooms"
	"tapecast/server/config"
)

// shapeRecord is a record of an example, and shapeFrame what a room is sent for it.
type shapeRecord struct {
	Topic, Key string
	Int64      int64 // the key, as eight bytes
	Headers    map[string]string
	Value      json.RawMessage
	Bytes      string
}

type shapeFrame struct {
	Room, Type, Key string
	Data            json.RawMessage
	Bytes           string
}

// TestShapesPage: the page of examples is true. Each configuration is valid, and its records come out
// as the page says.
func TestShapesPage(t *testing.T) {
	sections := strings.Split(pageText(t, "web/docs/shapes.md"), "\n## ")[1:]
	if len(sections) != 10 {
		t.Errorf("the page has %d examples", len(sections))
	}
	for _, s := range sections {
		name, _, _ := strings.Cut(s, "\n")
		t.Run(name, func(t *testing.T) {
			blocks := fenced(s)
			if len(blocks) != 3 {
				t.Fatalf("%d blocks: a configuration, records and frames are expected", len(blocks))
			}
			got := routedAs(t, blocks[0], lines[shapeRecord](t, blocks[1]))
			if want := lines[shapeFrame](t, blocks[2]); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// fenced returns the code of a page.
func fenced(page string) (blocks []string) {
	for i, part := range strings.Split(page, "```") {
		if i%2 == 1 {
			_, code, _ := strings.Cut(part, "\n")
			blocks = append(blocks, code)
		}
	}
	return blocks
}

func lines[T any](t *testing.T, text string) (list []T) {
	t.Helper()
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		var v T
		decode(t, s.Text(), &v)
		list = append(list, v)
	}
	return list
}

// routedAs routes records by a configuration.
func routedAs(t *testing.T, yaml string, records []shapeRecord) (frames []shapeFrame) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "shape.yaml")
	text := "auth: {secret: \"a secret of thirty-two characters\"}\nkafka: {brokers: [\"127.0.0.1:1\"]}\n" +
		"auto_join: []\n" + yaml
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := cfg.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	router, _, faults := route.Compile(cfg.Routes(), catalog)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	d := route.NewDecoder(1<<20, func(r *rooms.Record) {
		f := shapeFrame{Room: string(r.Room), Type: r.Type, Key: string(r.Key), Data: json.RawMessage(r.Value)}
		if r.Value == nil {
			f.Data = json.RawMessage("null")
		}
		if r.Binary {
			f.Bytes, f.Data, f.Type = string(r.Value), nil, ""
		}
		frames = append(frames, f)
	})
	for _, r := range records {
		m := &route.Record{Offset: 1, Time: 1699123456789, Key: []byte(r.Key), Value: []byte(r.Value)}
		if r.Int64 != 0 {
			m.Key = binary.BigEndian.AppendUint64(nil, uint64(r.Int64))
		}
		if r.Bytes != "" {
			m.Value = []byte(r.Bytes)
		} else if string(r.Value) == "null" {
			m.Value = nil
		}
		for name, text := range r.Headers {
			m.Headers = append(m.Headers, kafka.Header{Key: name, Value: []byte(text)})
		}
		if bad := d.Route(router.Topic(r.Topic), m); bad != (route.Bad{}) && bad.Detail() != "" {
			t.Logf("%s: %s", r.Topic, bad.Detail())
		}
	}
	return frames
}
