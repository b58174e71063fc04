package ingest

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tapecast/ingest/route"
)

// TestRecallSickTopics: topics whose records do not come do not delay others while there is an idle
// lane. If there is none, the next topic is read once a lane is free.
func TestRecallSickTopics(t *testing.T) {
	t.Parallel()
	topics, names := []string{"a", "b", "c", "d"}, []string{"all", "all:1", "more", "own:1"}
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topics...))
	w := newWriter(t, k.ListenAddrs(), nil)
	var routes []route.Route
	goOn, held := map[string]chan struct{}{}, map[string]chan struct{}{}
	byID := map[[16]byte]string{}
	for i, topic := range topics {
		w.put(topic, 0, "1", `{"n":1}`)
		routes = append(routes,
			route.Route{Topic: topic, Rooms: []string{strings.Replace(names[i], ":1", ":{@key}", 1)}, Type: "y"})
		goOn[topic], held[topic] = make(chan struct{}), make(chan struct{}, 100)
		byID[k.TopicInfo(topic).TopicID] = topic
	}
	w.flush()
	close(goOn["d"])
	r := newRig(t, k.ListenAddrs(), Config{}, routes...)
	r.c.readFor, r.c.quietFor = time.Minute, time.Minute // longer than requests wait
	r.start().ready()
	k.ControlKey(kmsg.Fetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		list := req.(*kmsg.FetchRequest).Topics
		if len(list) != 1 { // the reader's request, of all topics
			return nil, nil, false
		}
		topic := list[0].Topic
		if topic == "" {
			topic = byID[list[0].TopicID]
		}
		held[topic] <- struct{}{}
		k.SleepControl(func() { <-goOn[topic] })
		return nil, nil, false
	})
	ask := func(i int) func() ([]string, error) { return r.recall(names[i], []int64{-1}, []int64{0}) }
	is := func(i int, answer func() ([]string, error)) {
		t.Helper()
		if got, err := answer(); err != nil || len(got) != 1 {
			t.Errorf("topic %s: %v, %v", topics[i], got, err)
		}
	}
	a, b := ask(0), ask(1)
	<-held["a"]
	<-held["b"]
	is(3, ask(3)) // beside two that hang
	c := ask(2)
	<-held["c"]
	d := r.recall("own:2", []int64{-1}, []int64{0}) // the kept records are enough
	eventually(t, "four wait", func() bool { return r.c.RecallStats().Waiting == 4 })
	close(goOn["c"])
	is(2, c)
	if got, err := d(); err != nil || len(got) != 0 {
		t.Errorf("once a lane is free: %v, %v", got, err)
	}
	close(goOn["a"])
	close(goOn["b"])
	is(0, a)
	is(1, b)
}
