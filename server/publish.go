package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"tapecast/ingest"
	"tapecast/rooms"
	"tapecast/server/admin"
	"tapecast/server/jsontext"
)

// publisher is a Kafka producer that is made when first needed: most nodes never publish.
type publisher struct {
	within time.Duration // how long Kafka may take to store a record; 0: 10 s

	mu     sync.Mutex
	p      *ingest.Publisher
	closed bool
}

func (p *publisher) get(brokers []string, librdkafka map[string]string) (_ *ingest.Publisher, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("the server is stopping")
	}
	if p.p == nil {
		p.p, err = ingest.NewPublisher(brokers, librdkafka)
	}
	return p.p, err
}

func (p *publisher) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.p != nil {
		p.p.Close()
	}
}

// servePublish answers POST /publish: {"topic","key","value","headers"}. The value may be
// any JSON and goes to Kafka byte for byte; null makes a tombstone. The answer is
// {"topic","partition","offset"}. A member that stands there twice is refused.
func (s *Server) servePublish(w http.ResponseWriter, r *http.Request) {
	most := int64(s.cfg.Kafka.MaxRecord)
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, most+64<<10))
	in, err := readPublication(d)
	if err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			s.gate.Refuse(w, r, admin.Body, http.StatusRequestEntityTooLarge,
				"the body is longer than %d bytes: records over kafka.max_record are refused by every node", big.Limit)
			return
		}
		admin.Refuse(w, http.StatusBadRequest,
			`cannot read the body: %v; send {"topic":"…","key":"…","value":{…},"headers":{…}}`, err)
		return
	}
	if _, err := d.Token(); err != io.EOF {
		admin.Refuse(w, http.StatusBadRequest, "the body continues after the object: send one record at a time")
		return
	}
	defer admin.KeepConn(r.Context())()
	admin.GiveTime(w, 0, admin.WriteTime) // the body is complete: from now on the time is Kafka's
	switch {
	case in.topic == "":
		admin.Refuse(w, http.StatusBadRequest, "topic is missing; routes read %s", s.topics())
		return
	case !s.reads(in.topic):
		admin.Refuse(w, http.StatusBadRequest, "no route reads the topic %q; routes read %s", in.topic, s.topics())
		return
	case in.value == nil:
		admin.Refuse(w, http.StatusBadRequest, "value is missing; null makes a tombstone")
		return
	case int64(len(in.value)) > most:
		admin.Refuse(w, http.StatusRequestEntityTooLarge,
			"value has %d bytes: every node refuses records over kafka.max_record (%s)", len(in.value),
			s.cfg.Kafka.MaxRecord)
		return
	}
	value := []byte(in.value)
	if string(value) == "null" {
		value = nil
	}
	if s.consumer.Load() == nil {
		admin.Refuse(w, http.StatusServiceUnavailable, "the server is starting: try again in a moment")
		return
	}
	p, err := s.publisher.get(s.brokers, s.cfg.Kafka.Librdkafka)
	if err != nil {
		admin.Refuse(w, http.StatusServiceUnavailable, "cannot make a producer: %v", err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), cmp.Or(s.publisher.within, 10*time.Second))
	defer cancel()
	partition, offset, err := p.Publish(ctx, in.topic, in.key, value, in.headers)
	if err != nil {
		s.log.Warn("cannot publish", "topic", in.topic, "error", err)
		admin.Refuse(w, http.StatusBadGateway, "Kafka did not take the record: %v", err)
		return
	}
	s.log.Info("published", "topic", in.topic, "partition", partition, "offset", offset, "bytes", len(value),
		"remote", r.RemoteAddr)
	admin.Answer(w, http.StatusOK, struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
		Offset    int64  `json:"offset"`
	}{in.topic, partition, offset})
}

// reads reports whether a route reads the topic. A record in any other topic reaches no client, and
// a misspelt name may create a topic.
func (s *Server) reads(topic string) bool {
	return slices.ContainsFunc(s.table.Feeds(), func(f *rooms.Feed) bool { return f.Topic() == topic })
}

func (s *Server) topics() string {
	var names []string
	for _, f := range s.table.Feeds() {
		names = append(names, f.Topic())
	}
	return strings.Join(names, ", ")
}

type publication struct {
	topic, key string
	value      json.RawMessage // as it was written; nil: missing
	headers    map[string]string
}

// readPublication reads a body. Each member must occur once, by its exact name. Without that check
// encoding/json takes the last of two, and "Key" for key.
func readPublication(d *json.Decoder) (in publication, err error) {
	err = visitMembers(d, func(name string) error {
		switch name {
		case "topic":
			return readText(d, &in.topic)
		case "key":
			return readText(d, &in.key)
		case "value":
			return d.Decode(&in.value)
		case "headers":
			in.headers = map[string]string{}
			return visitMembers(d, func(name string) error {
				var text string
				err := readText(d, &text)
				in.headers[name] = text
				return err
			})
		}
		return errors.New("it is an unknown field")
	})
	return in, err
}

// visitMembers calls visit at each member's value, which visit must read. null has no members.
func visitMembers(d *json.Decoder, visit func(name string) error) error {
	switch t, err := d.Token(); {
	case err != nil || t == nil:
		return err
	case t != json.Delim('{'):
		return errors.New("it must be an object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return unended(err)
		}
		name, ok := t.(string)
		switch {
		case !ok:
			return errors.New("a name must be a string")
		case seen[name]:
			return fmt.Errorf("%s stands there twice: send it once", jsontext.Quoted(name))
		}
		seen[name] = true
		if err := visit(name); err != nil {
			return fmt.Errorf("%s: %w", jsontext.Quoted(name), unended(err))
		}
	}
	_, err := d.Token()
	return unended(err)
}

// unended returns err, changed if it is the end of the body in the middle of an object.
func unended(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readText reads a string. null is an empty one.
func readText(d *json.Decoder, into *string) error {
	err := d.Decode(into)
	if errors.As(err, new(*json.UnmarshalTypeError)) {
		return errors.New("it must be a string")
	}
	return err
}
