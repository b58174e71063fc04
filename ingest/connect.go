package ingest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

type connectBounds struct {
	ask   time.Duration // each request to a broker
	read  time.Duration // the begin of reading on all partitions of a topic
	whole time.Duration // all of it; the rest is reported as not tried
}

// brokersAtOnce is how many brokers are tried at a time.
const brokersAtOnce = 8

// Weight is the severity of a Found.
type Weight uint8

// The weights, from good to bad.
const (
	FoundGood Weight = iota // all is well
	FoundOdd                // it works, with a limit that the operator may not expect
	FoundBad                // it will not work
)

// Found is one result of Connect.
type Found struct {
	Weight Weight
	What   string // "broker kafka-1:9092"
	Text   string // its state, and the remedy
}

// TopicAsk has the needs of the gateway for one topic.
type TopicAsk struct {
	Name          string
	Reads, Writes bool
	// LastValues: rooms keep last values of its records.
	LastValues bool
	// Absent is the remedy if the topic does not exist.
	Absent string
	// Compacted are warnings in case the topic is compacted.
	Compacted []string
	// Kept is the warning in case that it is not, or deletes old records too. "": it need not be.
	Kept string
}

// Connect tries Kafka before a start: each broker of cfg by itself, then each topic. Does the
// topic exist, may this user read or write it, and can all of its partitions be read? Connect
// calls say with each result, and writes nothing to Kafka. A broker that does not answer, or a
// partition that cannot be read, costs a few seconds. Connect takes a minute at most.
func Connect(ctx context.Context, cfg Config, topics []TopicAsk, say func(Found)) {
	bounds := connectBounds{ask: 5 * time.Second, read: 10 * time.Second, whole: time.Minute}
	ctx, cancel := context.WithTimeout(ctx, bounds.whole)
	defer cancel()
	c := &connector{
		cfg: cfg, ctx: ctx, say: say, bounds: bounds, faults: newBrokerFaults(cfg.Brokers, cfg.Librdkafka),
	}
	c.connect(topics)
}

func (c *connector) connect(topics []TopicAsk) {
	if !c.brokers() {
		return
	}
	if err := c.open(); err != nil {
		c.say(Found{FoundBad, "kafka.librdkafka", err.Error()})
		return
	}
	defer c.close()
	if !c.cluster() {
		return
	}
	found := c.describe(topics)
	for _, t := range topics {
		if c.ctx.Err() != nil {
			c.say(Found{FoundBad, "topic " + t.Name, c.untried()})
			continue
		}
		c.topic(t, found[t.Name])
	}
}

// connector is a Connect under way. It belongs to one goroutine.
type connector struct {
	cfg    Config
	ctx    context.Context
	say    func(Found)
	bounds connectBounds
	faults *brokerFaults

	control  *Producer
	admin    *kafka.AdminClient
	reader   *kafka.Consumer
	stopLogs func() // the reader's
}

func (c *connector) untried() string {
	return fmt.Sprintf("was not tried: %s are over", c.bounds.whole)
}

// brokers tries each broker by itself, and reports whether one answers.
func (c *connector) brokers() bool {
	answers := make([]chan string, len(c.cfg.Brokers))
	slots := make(chan struct{}, brokersAtOnce)
	for i, b := range c.cfg.Brokers {
		answers[i] = make(chan string, 1)
		go func() {
			select {
			case slots <- struct{}{}:
				answers[i] <- tryBroker(c.cfg, b, c.bounds.ask)
				<-slots
			case <-c.ctx.Done():
			}
		}()
	}
	reached := false
	for i, b := range c.cfg.Brokers {
		found := Found{FoundBad, "broker " + b, c.untried()}
		select {
		case found.Text = <-answers[i]:
		case <-c.ctx.Done():
		}
		if found.Text == "" {
			found.Weight, found.Text, reached = FoundGood, "answers", true
		}
		c.say(found)
	}
	return reached
}

// tryBroker asks one broker, and no other, for metadata. It returns the fault, with
// the remedy; "": the broker answers.
func tryBroker(cfg Config, broker string, within time.Duration) string {
	faults := newBrokerFaults(cfg.Brokers, cfg.Librdkafka)
	cfg.Brokers = []string{broker}
	conf, err := controlConf(cfg)
	if err != nil {
		return err.Error()
	}
	p, err := newProducer(conf, orDiscard(nil), nil, faults)
	if err != nil {
		return err.Error()
	}
	defer p.Stop(0)
	_, err = p.GetMetadata(nil, false, int(within.Milliseconds()))
	if err == nil {
		return ""
	}
	return why(faults, err.Error())
}

// why returns the brokers' worst fault, or else the known error, with the remedy.
func why(faults *brokerFaults, known string) string {
	fault, ok := faults.worst()
	if !ok {
		fault = brokerFault{said: known}
	}
	return fault.text() + "; " + faults.remedy(fault)
}

func (c *connector) open() error {
	conf, err := controlConf(c.cfg)
	if err != nil {
		return err
	}
	if c.control, err = newProducer(conf, orDiscard(nil), nil, c.faults); err != nil {
		return err
	}
	if c.admin, err = kafka.NewAdminClientFromProducer(c.control.Producer); err == nil {
		conf, err = readerConf(c.cfg)
	}
	if err == nil {
		c.stopLogs = drainLogs(conf, orDiscard(nil), c.faults.logged)
		c.reader, err = kafka.NewConsumer(conf)
	}
	if err != nil {
		c.close()
		return fmt.Errorf("cannot make Kafka's clients: %w", err)
	}
	return nil
}

func (c *connector) close() {
	if c.reader != nil {
		c.reader.Close()
	}
	if c.stopLogs != nil {
		c.stopLogs()
	}
	if c.admin != nil {
		c.admin.Close()
	}
	c.control.Stop(0)
}

// cluster describes the cluster to say, and reports whether it could.
func (c *connector) cluster() bool {
	ctx, cancel := context.WithTimeout(c.ctx, c.bounds.ask)
	defer cancel()
	d, err := c.admin.DescribeCluster(ctx, kafka.SetAdminRequestTimeout(c.bounds.ask))
	if err != nil {
		c.say(Found{FoundBad, "cluster", "does not describe itself: " + why(c.faults, err.Error())})
		return false
	}
	id := "without id"
	if d.ClusterID != nil {
		id = *d.ClusterID
	}
	var at []string
	for _, n := range d.Nodes {
		at = append(at, fmt.Sprintf("%d at %s:%d", n.ID, n.Host, n.Port))
	}
	c.say(Found{FoundGood, "cluster " + id, fmt.Sprintf("has %d brokers: %s", len(d.Nodes), strings.Join(at, ", "))})
	return true
}
