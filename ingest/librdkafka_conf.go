package ingest

/*
#include <stddef.h>
#include <stdlib.h>

// The parts of rdkafka.h that we need for configurations. poller.go has those for events.
typedef struct rd_kafka_conf_s rd_kafka_conf_t;
typedef struct rd_kafka_topic_conf_s rd_kafka_topic_conf_t;

#define WEAK __attribute__((weak))
WEAK rd_kafka_conf_t *rd_kafka_conf_new(void);
WEAK void rd_kafka_conf_destroy(rd_kafka_conf_t *);
WEAK int rd_kafka_conf_set(rd_kafka_conf_t *, const char *, const char *, char *, size_t);
WEAK const char **rd_kafka_conf_dump(rd_kafka_conf_t *, size_t *);
WEAK rd_kafka_topic_conf_t *rd_kafka_topic_conf_new(void);
WEAK void rd_kafka_topic_conf_destroy(rd_kafka_topic_conf_t *);
WEAK const char **rd_kafka_topic_conf_dump(rd_kafka_topic_conf_t *, size_t *);
WEAK void rd_kafka_conf_dump_free(const char **, size_t);

static int tc_conf_linked(void) {
	return rd_kafka_conf_new && rd_kafka_conf_destroy && rd_kafka_conf_set && rd_kafka_conf_dump &&
		rd_kafka_topic_conf_new && rd_kafka_topic_conf_destroy && rd_kafka_topic_conf_dump && rd_kafka_conf_dump_free;
}
*/
import "C"

import (
	"slices"
	"unsafe"
)

// unknownProperty and badProperty are librdkafka's RD_KAFKA_CONF_UNKNOWN and _INVALID.
const (
	unknownProperty = -2
	badProperty     = -1
)

// tryProperty sets one property in a configuration of its own. code is zero if librdkafka takes
// it. Otherwise said is librdkafka's reason.
func tryProperty(name, value string) (code int, said string) {
	if C.tc_conf_linked() == 0 {
		return 0, "" // the clients will fail
	}
	conf := C.rd_kafka_conf_new()
	defer C.rd_kafka_conf_destroy(conf)
	n, v := C.CString(name), C.CString(value)
	defer C.free(unsafe.Pointer(n))
	defer C.free(unsafe.Pointer(v))
	var text [512]C.char
	code = int(C.rd_kafka_conf_set(conf, n, v, &text[0], C.size_t(len(text))))
	return code, C.GoString(&text[0])
}

// PropertyNames returns, sorted, the properties of librdkafka that have a text as value.
func PropertyNames() []string {
	if C.tc_conf_linked() == 0 {
		return nil
	}
	// The dumps lack properties without a default.
	names := slices.Clone(unsetProperties)
	take := func(list **C.char, n C.size_t) {
		for i, p := range unsafe.Slice(list, int(n)) {
			if i%2 == 0 { // the value follows
				names = append(names, C.GoString(p))
			}
		}
		C.rd_kafka_conf_dump_free(list, n)
	}
	var n C.size_t
	conf := C.rd_kafka_conf_new()
	defer C.rd_kafka_conf_destroy(conf)
	take(C.rd_kafka_conf_dump(conf, &n), n)
	topic := C.rd_kafka_topic_conf_new()
	defer C.rd_kafka_topic_conf_destroy(topic)
	take(C.rd_kafka_topic_conf_dump(topic, &n), n)
	for other := range propertyAliases {
		names = append(names, other)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
