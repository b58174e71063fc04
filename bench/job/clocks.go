package job

// On returns the order with its times in another machine's clocks. That machine's
// monotonic clock is ahead of ours by ahead, and its wall clock by skew.
func (o Order) On(ahead, skew int64) Order {
	if ahead == 0 && skew == 0 {
		return o
	}
	for _, t := range []*int64{&o.Deadline, &o.From, &o.To} {
		if *t != 0 {
			*t += ahead
		}
	}
	if o.Slow != nil {
		x := *o.Slow
		x.From, x.To, o.Slow = x.From+ahead, x.To+ahead, &x
	}
	if o.Churn != nil {
		x := *o.Churn
		x.From, x.To, o.Churn = x.From+ahead, x.To+ahead, &x
	}
	if o.Storm != nil {
		x := *o.Storm
		x.At, x.Until, o.Storm = x.At+ahead, x.Until+ahead, &x
	}
	if o.Op == "run" { // its times are ns since 1970 by our clock
		o.Timing.Anchor -= ahead
		o.Timing.Skew = skew
	}
	return o
}

// Back converts the times in a worker's answer to our clock.
func (a *Answer) Back(ahead int64) {
	if a.Results != nil && a.Results.Storm != nil {
		a.Results.Storm.At -= ahead
		a.Results.Storm.Last -= ahead
	}
}
