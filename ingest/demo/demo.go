package demo

import "tapecast/ingest/route"

// The topics, routes and users of `tapecast run` without a configuration.

// retention bounds the records that the embedded broker keeps of a demo topic.
var retention = map[string]string{"retention.ms": "300000", "retention.bytes": "16777216"}

// bench is the default topic of tapecast-bench's scenarios keyed and mixed.
const bench = "bench.rooms"

// Topics are the topics that the generated market writes, and one for tapecast-bench.
func Topics() []TopicSpec {
	var list []TopicSpec
	for _, name := range []string{"market.ticker", "market.trades", "private.orders", "events", bench} {
		list = append(list, TopicSpec{Name: name, Partitions: 3, Config: retention})
	}
	return list
}

// Routes bring the market to its rooms, and records of tapecast-bench to the room of their key.
func Routes() []route.Route {
	event := func(kind string) map[string]string { return map[string]string{"metadata.eventType": kind + ".*"} }
	return []route.Route{
		{Topic: "market.ticker", Rooms: []string{"prices", "prices:{@key}"}, Key: "{@key}", Type: "price_update"},
		{Topic: "market.trades", Rooms: []string{"trades", "trades:{s}"}, Key: "{s}", Type: "trade_update"},
		{Topic: "private.orders", Rooms: []string{"orders:{@key}"}, Key: "{orderId}", Type: "order_update",
			Partitioner: "murmur2"},
		{Topic: "events", Match: event("portfolio"), Rooms: []string{"portfolio:{metadata.userId}"},
			Key: "{data.asset}", Type: "portfolio_update", Payload: "data"},
		{Topic: "events", Match: event("notification"), Rooms: []string{"notifications:{metadata.userId}"},
			Type: "notification", Payload: "data"},
		{Topic: "events", Match: event("user"), Rooms: []string{"user:{metadata.userId}"},
			Type: "user_message", Payload: "data"},
		{Topic: "events", Match: event("system"), Rooms: []string{"system_alerts"},
			Type: "system_alert", Payload: "data"},
		{Topic: bench, Rooms: []string{"keyed:{@key}"}, Type: "trade_update"},
	}
}

// Users are the users for whom the generated market trades.
func Users() []string { return []string{"42", "7", "1001", "alice", "bob"} }

type instrument struct {
	base  string
	price float64 // in USDT, at the start
	share float64 // of all tickers and trades
}

// instruments has six symbols with shares of 6 to 25 %, as in recorded feeds. The others divide
// the rest: the earlier a symbol, the larger its share.
var instruments = func() []instrument {
	list := []instrument{
		{"BTC", 61800, .25}, {"ETH", 2680, .19}, {"SOL", 154, .15}, {"XRP", 0.602, .11}, {"BNB", 512, .08},
		{"DOGE", 0.103, .06},
	}
	rest := []instrument{
		{"ADA", 0.341, 0}, {"AVAX", 22.8, 0}, {"LINK", 10.4, 0}, {"DOT", 4.71, 0}, {"TRX", 0.127, 0}, {"LTC", 60.2, 0},
		{"BCH", 341, 0}, {"NEAR", 3.94, 0}, {"UNI", 6.02, 0}, {"APT", 5.88, 0}, {"ETC", 18.7, 0}, {"XLM", 0.0987, 0},
		{"ATOM", 4.86, 0}, {"FIL", 3.57, 0}, {"HBAR", 0.0552, 0}, {"ARB", 0.557, 0}, {"OP", 1.38, 0}, {"INJ", 18.2, 0},
		{"SUI", 0.861, 0}, {"AAVE", 101, 0}, {"MKR", 2010, 0}, {"GRT", 0.147, 0},
		{"ALGO", 0.121, 0}, {"VET", 0.0216, 0},
		{"ICP", 7.61, 0}, {"RENDER", 5.11, 0}, {"STX", 1.49, 0}, {"IMX", 1.12, 0}, {"SEI", 0.271, 0}, {"TIA", 5.3, 0},
		{"LDO", 1.06, 0}, {"EGLD", 26.1, 0}, {"FLOW", 0.541, 0}, {"XTZ", 0.661, 0},
		{"SAND", 0.256, 0}, {"MANA", 0.265, 0},
		{"AXS", 4.61, 0}, {"EOS", 0.488, 0}, {"NEO", 9.71, 0}, {"KAVA", 0.301, 0}, {"CHZ", 0.0508, 0}, {"SNX", 1.29, 0},
		{"CRV", 0.271, 0}, {"ZEC", 38.2, 0}, {"DASH", 23.1, 0}, {"COMP", 43.6, 0},
		{"1INCH", 0.249, 0}, {"BAT", 0.163, 0},
	}
	left, weights := 1.0, 0.0
	for _, i := range list {
		left -= i.share
	}
	for n := range rest {
		weights += 1 / float64(n+8)
	}
	for n, i := range rest {
		i.share = left / float64(n+8) / weights
		list = append(list, i)
	}
	return list
}()
