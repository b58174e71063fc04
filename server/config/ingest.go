package config

// Ingest routes records to rooms.
type Ingest struct {
	// Routes: every one that fits a record applies. Default none with kafka.brokers,
	// else the routes of the demo market.
	Routes []Route `koanf:"routes"`
	// Unmatched says what becomes of records that no route's match names. ignore (default)
	// counts them. dead_letter also sends them to kafka.dead_letter. That a record is for
	// nobody is not a fault.
	Unmatched string `koanf:"unmatched"`
	// Market feeds the embedded broker from the generated market. Default true. It has no
	// meaning if kafka.brokers is set.
	Market bool `koanf:"market"`
}

// Keyframe is a condition for records that can be understood without those before them,
// such as full order books. A client that joins or lags starts at the newest one.
type Keyframe struct {
	// Field of the value, such as e. Default "": there are no such records.
	Field string `koanf:"field"`
	// Equals is what the field then holds, such as depthSnapshot.
	Equals string `koanf:"equals"`
}

// Route sends the records of a topic to rooms. Fields come from the value
// by path ({data.asset}), from headers ({@header.x}, of several the last) or the record
// key ({@key}). A record that lacks one, or whose value has one twice with different
// values, is bad.
type Route struct {
	Topic string `koanf:"topic"`
	// Match are conditions, path to glob ("portfolio.*"); all must hold. Default none.
	Match map[string]string `koanf:"match"`
	// Rooms are the names of the rooms, with fields. A record is bad if a name is one that
	// no client can write (with a star, line ends or control characters), if nobody could
	// own its private room, or if the template of a private pattern gives another room.
	Rooms []string `koanf:"rooms"`
	// Key is the envelope's key, with fields. Default "": none.
	Key string `koanf:"key"`
	// KeyFormat is how producers write record keys, and so what {@key} stands for: utf8
	// (default), int32 or int64 (4 or 8 bytes, big-endian, as Kafka's serializers write them:
	// 42), hex or base64 (any bytes, written so). Other keys are bad records.
	KeyFormat string `koanf:"key_format"`
	// Type is the envelope's type, with fields, 256 bytes at most. Default "": the topic's name.
	Type string `koanf:"type"`
	// Keyframe tells full order books from changes.
	Keyframe Keyframe `koanf:"keyframe"`
	// Payload is the path of the nested value that becomes data. Default "": the whole value.
	Payload string `koanf:"payload"`
	// Envelope none sends bare values. Default "".
	Envelope string `koanf:"envelope"`
	// Format is json (default) or, with envelope none, binary.
	Format string `koanf:"format"`
	// Partitioner is how the producers place keys (murmur2, consistent_random, …). It is
	// only a check: a record in another partition is delivered like all others, counted,
	// warned of once and named in health. Default "": nothing is checked.
	Partitioner string `koanf:"partitioner"`
	// Tombstones says that the topic holds records without a value. Default false.
	Tombstones bool `koanf:"tombstones"`
}
