//! bloblang
