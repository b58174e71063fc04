package ingest

/*
#include <stdint.h>
#include <stddef.h>
#include <stdlib.h>

// The parts of rdkafka.h (librdkafka 2.15.1) that we need. The Go client has it but
// does not export it. These parts have not changed since 1.6. The functions are
// weak, so that this file links on its own. The Go client brings them in.
typedef struct rd_kafka_queue_s rd_kafka_queue_t;
typedef struct rd_kafka_event_s rd_kafka_event_t;
typedef struct rd_kafka_topic_s rd_kafka_topic_t;
typedef struct rd_kafka_headers_s rd_kafka_headers_t;

typedef struct rd_kafka_message_s {
	int err;
	rd_kafka_topic_t *rkt;
	int32_t partition;
	void *payload;
	size_t len;
	void *key;
	size_t key_len;
	int64_t offset;
	void *_private;
} rd_kafka_message_t;

typedef struct rd_kafka_topic_partition_s {
	char *topic;
	int32_t partition;
	int64_t offset;
} rd_kafka_topic_partition_t; // the first fields

#define WEAK __attribute__((weak))
WEAK rd_kafka_event_t *rd_kafka_queue_poll(rd_kafka_queue_t *, int);
WEAK size_t rd_kafka_queue_length(rd_kafka_queue_t *);
WEAK int rd_kafka_event_type(const rd_kafka_event_t *);
WEAK void rd_kafka_event_destroy(rd_kafka_event_t *);
WEAK int rd_kafka_event_error(rd_kafka_event_t *);
WEAK const char *rd_kafka_event_error_string(rd_kafka_event_t *);
WEAK const rd_kafka_message_t *rd_kafka_event_message_next(rd_kafka_event_t *);
WEAK rd_kafka_topic_partition_t *rd_kafka_event_topic_partition(rd_kafka_event_t *);
WEAK void rd_kafka_topic_partition_destroy(rd_kafka_topic_partition_t *);
WEAK const char *rd_kafka_topic_name(const rd_kafka_topic_t *);
WEAK int64_t rd_kafka_message_timestamp(const rd_kafka_message_t *, int *);
WEAK int32_t rd_kafka_message_leader_epoch(const rd_kafka_message_t *);
WEAK int rd_kafka_message_headers(const rd_kafka_message_t *, rd_kafka_headers_t **);
WEAK int rd_kafka_header_get_all(const rd_kafka_headers_t *, size_t, const char **, const void **, size_t *);

enum { EVENT_FETCH = 0x2, EVENT_ERROR = 0x8, ERR_EOF = -191 };
enum { TC_RECORD = 1, TC_END, TC_ERROR };

// tc_event is one event, kept until the next poll.
typedef struct {
	rd_kafka_event_t *ev;
	const rd_kafka_message_t *msg;  // TC_RECORD
	rd_kafka_topic_partition_t *at; // TC_END
	const char *topic;              // TC_RECORD, TC_END
	const void *value, *key;        // NULL: none
	size_t value_len, key_len;
	int64_t offset, time;           // time in ms; -1: none
	int32_t partition, leader;      // leader epoch; -1: not known
	int kind, err;
	const char *said;               // TC_ERROR
} tc_event;

static int tc_linked(void) {
	return rd_kafka_queue_poll && rd_kafka_queue_length && rd_kafka_event_type && rd_kafka_event_destroy &&
		rd_kafka_event_error && rd_kafka_event_error_string &&
		rd_kafka_event_message_next && rd_kafka_event_topic_partition &&
		rd_kafka_topic_partition_destroy && rd_kafka_topic_name && rd_kafka_message_timestamp &&
		rd_kafka_message_leader_epoch && rd_kafka_message_headers && rd_kafka_header_get_all;
}

static void tc_release(tc_event *e, int n) {
	for (; n > 0; n--, e++) {
		if (e->at) rd_kafka_topic_partition_destroy(e->at);
		rd_kafka_event_destroy(e->ev);
	}
}

static void tc_record(tc_event *e) {
	const rd_kafka_message_t *m = e->msg;
	int type;
	e->kind = TC_RECORD;
	e->topic = rd_kafka_topic_name(m->rkt);
	e->value = m->payload, e->value_len = m->len;
	e->key = m->key, e->key_len = m->key_len;
	e->offset = m->offset;
	e->partition = m->partition;
	e->time = rd_kafka_message_timestamp(m, &type);
	e->leader = rd_kafka_message_leader_epoch(m);
}

// tc_poll releases the held events and takes up to max new ones, or max_bytes of
// records. It waits for the first, and for no other.
static int tc_poll(rd_kafka_queue_t *q, tc_event *list, int held, int max, size_t max_bytes, int wait_ms) {
	int n = 0;
	size_t bytes = 0;
	tc_release(list, held);
	while (n < max && bytes < max_bytes) {
		tc_event *e = &list[n];
		rd_kafka_event_t *ev = rd_kafka_queue_poll(q, wait_ms);
		if (!ev) break;
		wait_ms = 0;
		*e = (tc_event){.ev = ev};
		switch (rd_kafka_event_type(ev)) {
		case EVENT_FETCH:
			if (!(e->msg = rd_kafka_event_message_next(ev))) break;
			if (e->msg->err) {
				e->kind = TC_ERROR, e->err = e->msg->err, e->said = "";
			} else {
				tc_record(e);
				bytes += e->value_len + e->key_len;
			}
			n++;
			continue;
		case EVENT_ERROR:
			e->err = rd_kafka_event_error(ev);
			if (e->err != ERR_EOF) {
				e->kind = TC_ERROR;
				e->said = rd_kafka_event_error_string(ev);
				n++;
				continue;
			}
			if (!(e->at = rd_kafka_event_topic_partition(ev))) break;
			e->kind = TC_END;
			e->topic = e->at->topic;
			e->partition = e->at->partition;
			e->offset = e->at->offset;
			n++;
			continue;
		}
		rd_kafka_event_destroy(ev);
	}
	return n;
}
*/
import "C"

import (
	"errors"
	"reflect"
	"unsafe"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/ingest/route"
)

// poller takes events out of a librdkafka consumer, many with one call into C,
// and leaves the records' bytes in librdkafka's memory. The Go client's own
// Poll takes one at a time and makes eight objects for each record (figures in doc.go).
// A poller belongs to one goroutine.
type poller struct {
	queue *C.rd_kafka_queue_t
	list  *C.tc_event // maxBatch events, in C's memory
	held  C.int       // events of the last poll
}

// maxBatchBytes ends a batch early: records may be large, and held records no longer count
// against the bounds of librdkafka's queue.
const maxBatchBytes = 1 << 20

// newPoller returns a poller for a consumer, which nothing else may poll. It is closed first.
func newPoller(c *kafka.Consumer) (*poller, error) {
	if C.tc_linked() == 0 {
		return nil, errors.New("librdkafka lacks functions that ingest needs: build it with confluent-kafka-go v2.15.1")
	}
	// The client does not export its queue. TestPoller checks that these fields still have it.
	handle := reflect.ValueOf(c).Elem().FieldByName("handle")
	if !handle.IsValid() || !handle.FieldByName("rkq").IsValid() {
		return nil, errors.New("the Kafka client has no queue where ingest looks for it: build it with " +
			"confluent-kafka-go v2.15.1")
	}
	return &poller{
		queue: (*C.rd_kafka_queue_t)(handle.FieldByName("rkq").UnsafePointer()),
		list:  (*C.tc_event)(C.calloc(maxBatch, C.sizeof_tc_event)),
	}, nil
}

// close releases the held events.
func (p *poller) close() {
	C.tc_release(p.list, p.held)
	C.free(unsafe.Pointer(p.list))
	p.list, p.held = nil, 0
}

// poll waits for events and returns their number. It releases those of the poll before.
func (p *poller) poll(wait int) int {
	p.held = C.tc_poll(p.queue, p.list, p.held, maxBatch, maxBatchBytes, C.int(wait))
	return int(p.held)
}

// queued returns the number of events in the queue. Any goroutine may call it before close.
func (p *poller) queued() int64 { return int64(C.rd_kafka_queue_length(p.queue)) }

func (p *poller) event(i int) *polled {
	return (*polled)(&unsafe.Slice(p.list, maxBatch)[i])
}

// polled is one event, valid until the next poll.
type polled C.tc_event

// Kinds of events, and the fields and methods that each has.
const (
	polledRecord = C.TC_RECORD // topic, partition, offset, leader, fill, headers
	polledEnd    = C.TC_END    // the end of a partition: topic, partition, next offset
	polledError  = C.TC_ERROR  // fault
)

// topicID is the same pointer for all records of an assigned topic. topicName makes a copy.
func (e *polled) topicID() unsafe.Pointer { return unsafe.Pointer(e.topic) }
func (e *polled) topicName() string       { return C.GoString(e.topic) }

func (e *polled) fault() (code kafka.ErrorCode, said string) {
	return kafka.ErrorCode(e.err), C.GoString(e.said)
}

// fill sets r to the event's record, without headers.
func (e *polled) fill(r *route.Record) {
	r.Partition, r.Offset, r.Time = int32(e.partition), int64(e.offset), int64(e.time)
	r.Key = cBytes(e.key, e.key_len)
	r.Value = cBytes(e.value, e.value_len)
	r.Headers = nil
}

// headers copies the headers of an event's record.
func (e *polled) headers() []kafka.Header {
	var list *C.rd_kafka_headers_t
	if C.rd_kafka_message_headers(e.msg, &list) != 0 {
		return nil
	}
	var out []kafka.Header
	for i := C.size_t(0); ; i++ {
		var name *C.char
		var value unsafe.Pointer
		var size C.size_t
		if C.rd_kafka_header_get_all(list, i, &name, &value, &size) != 0 {
			return out
		}
		h := kafka.Header{Key: C.GoString(name)}
		if value != nil {
			h.Value = C.GoBytes(value, C.int(size))
		}
		out = append(out, h)
	}
}

// cBytes returns C's memory as a slice; nil for NULL.
func cBytes(p unsafe.Pointer, n C.size_t) []byte {
	if p == nil {
		return nil
	}
	return unsafe.Slice((*byte)(p), int(n))
}
