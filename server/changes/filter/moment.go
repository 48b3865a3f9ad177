package filter

import (
	"cmp"
	"math"
	"strings"
)

// instant is a key that orders the values of one type, by major first: see parseMoment.
type instant struct{ major, minor int64 }

func (a instant) compare(b instant) int {
	if a.major != b.major {
		return cmp.Compare(a.major, b.major)
	}
	return cmp.Compare(a.minor, b.minor)
}

const (
	microsPerSecond = 1_000_000
	secondsPerDay   = 86_400
	microsPerDay    = secondsPerDay * microsPerSecond
)

var (
	past   = instant{major: math.MinInt64}
	future = instant{major: math.MaxInt64}
)

// parseMoment reads a date, time or interval as PostgreSQL prints it with DateStyle ISO and IntervalStyle
// postgres.
//
//	date, timestamp, timestamptz   days since 1970-01-01, microseconds of the day (in UTC)
//	time                           0, microseconds
//	timetz                         microseconds in UTC, seconds west of Greenwich
//	interval                       days (30 a month), microseconds of the day: as PostgreSQL compares them
func parseMoment(typ, text string) (instant, bool) {
	switch text {
	case "infinity":
		return future, true
	case "-infinity":
		return past, true
	}
	s := scanner{rest: text}
	var at instant
	switch typ {
	case "date":
		at.major = s.date()
		at.major = s.era(at.major)
	case "timestamp", "timestamptz":
		at.major = s.date()
		s.expect(' ')
		micros := s.clock() - s.offset()*microsPerSecond
		at.major = s.era(at.major)
		at = normal(at.major, micros)
	case "time":
		at.minor = s.clock()
	case "timetz":
		local := s.clock()
		east := s.offset()
		at = instant{major: local - east*microsPerSecond, minor: -east}
	case "interval":
		at = s.interval()
	}
	return at, s.done()
}

// normal carries whole days over, so that equal spans have equal keys.
func normal(days, micros int64) instant {
	carry := micros / microsPerDay
	if micros%microsPerDay < 0 {
		carry--
	}
	return instant{major: days + carry, minor: micros - carry*microsPerDay}
}

// scanner reads a text from left to right; once it has failed, it yields zeros.
type scanner struct {
	rest             string
	year, month, day int64
	failed           bool
}

func (s *scanner) done() bool { return !s.failed && s.rest == "" }

func (s *scanner) fail() int64 {
	s.failed = true
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.failed || s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) expect(c byte) {
	if !s.take(c) {
		s.fail()
	}
}

// number reads digits, at most 10 of them: every field of PostgreSQL's fits.
func (s *scanner) number() int64 {
	n, i := int64(0), 0
	for ; i < len(s.rest) && s.rest[i] >= '0' && s.rest[i] <= '9'; i++ {
		if i == 10 {
			return s.fail()
		}
		n = n*10 + int64(s.rest[i]-'0')
	}
	if i == 0 || s.failed {
		return s.fail()
	}
	s.rest = s.rest[i:]
	return n
}

// date reads YYYY-MM-DD and remembers it for era.
func (s *scanner) date() int64 {
	s.year = s.number()
	s.expect('-')
	s.month = s.number()
	s.expect('-')
	s.day = s.number()
	if s.month < 1 || s.month > 12 || s.day < 1 || s.day > 31 {
		return s.fail()
	}
	return days(s.year, s.month, s.day)
}

// era reads the " BC" behind all else; there is no year 0.
func (s *scanner) era(ad int64) int64 {
	rest, bc := strings.CutSuffix(s.rest, " BC")
	if !bc {
		return ad
	}
	s.rest = rest
	return days(1-s.year, s.month, s.day)
}

// days counts from 1970-01-01 in the Gregorian calendar, years before 1 as 0, -1, …
// A year begins in March here, so that the leap day is its last one; an era has 400 years.
func days(year, month, day int64) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	era := year / 400
	if year%400 < 0 {
		era--
	}
	inEra := year - era*400
	return era*146_097 + inEra*365 + inEra/4 - inEra/100 + (153*(month-3)+2)/5 + day - 1 - 719_468
}

// clock reads HH:MM:SS with up to six digits of fraction, as microseconds. Hours may be many (intervals).
func (s *scanner) clock() int64 {
	seconds := s.number() * 3600
	s.expect(':')
	seconds += s.number() * 60
	s.expect(':')
	seconds += s.number()
	micros := seconds * microsPerSecond
	if s.take('.') {
		unit := int64(microsPerSecond)
		for unit > 1 && s.rest != "" && s.rest[0] >= '0' && s.rest[0] <= '9' {
			unit /= 10
			micros += int64(s.rest[0]-'0') * unit
			s.rest = s.rest[1:]
		}
	}
	return micros
}

// offset reads a time zone's +HH[:MM[:SS]], if there is one, as seconds east of Greenwich.
func (s *scanner) offset() int64 {
	sign := int64(1)
	switch {
	case s.take('+'):
	case s.take('-'):
		sign = -1
	default:
		return 0
	}
	seconds := s.number() * 3600
	if s.take(':') {
		seconds += s.number() * 60
	}
	if s.take(':') {
		seconds += s.number()
	}
	return sign * seconds
}

// interval reads "1 year 2 mons -3 days +04:05:06.7": each part has its own sign and may be missing.
func (s *scanner) interval() instant {
	var days, micros int64
	for first := true; !s.failed && (first || s.take(' ')); first = false {
		sign := int64(1)
		if s.take('-') {
			sign = -1
		} else {
			s.take('+')
		}
		if at := strings.IndexAny(s.rest, " :"); at >= 0 && s.rest[at] == ':' {
			micros = sign * s.clock()
			break
		}
		n := sign * s.number()
		s.expect(' ')
		switch s.word() {
		case "year", "years":
			days += n * 12 * 30
		case "mon", "mons":
			days += n * 30
		case "day", "days":
			days += n
		default:
			s.fail()
		}
	}
	return normal(days, micros)
}

func (s *scanner) word() string {
	word, _, _ := strings.Cut(s.rest, " ")
	s.rest = s.rest[len(word):]
	return word
}
