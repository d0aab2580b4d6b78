package nemesis

import "github.com/pofresh/globalchannel/jepsen_like_test/fault"

// Split cuts a network in two: what is sent from one side to the other is lost, in
// both directions. Who is on neither side reaches everybody, as a bridge does.
func Split(n Network, left, right []string, what fault.Traffic) error {
	if err := CutAll(n, left, right, what); err != nil {
		return err
	}
	return CutAll(n, right, left, what)
}

// CutAll loses what these send those, one way.
func CutAll(n Network, from, to []string, what fault.Traffic) error {
	return eachWay(from, to, func(from, to string) error { return n.Cut(from, to, what) })
}

// SetWeatherAmong is for all that these send each other.
func SetWeatherAmong(n Network, sids []string, w fault.Weather) error {
	return eachWay(sids, sids, func(from, to string) error { return n.SetWeather(from, to, w) })
}

func eachWay(from, to []string, do func(from, to string) error) error {
	for _, f := range from {
		for _, t := range to {
			if f == t {
				continue
			}
			if err := do(f, t); err != nil {
				return err
			}
		}
	}
	return nil
}
