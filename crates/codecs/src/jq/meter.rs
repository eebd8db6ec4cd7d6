//! What a run of a program may cost, and where that is counted.

use std::cell::Cell;
use std::time::{Duration, Instant};

use jaq_core::box_iter::box_once;
use jaq_core::data::HasLut;
use jaq_core::{Bind, Cv, DataT, Exn, Lut, Native, ValXs};
use jaq_json::{Num, Val};

use super::write::fits;

/// Turns of loops and calls of one run; fewer in tests, which are not optimised.
const MOST_STEPS: u64 = if cfg!(test) { 100_000 } else { 20_000_000 };
/// Bytes of texts, and of arrays and objects by their elements, that one run makes.
pub(super) const MOST_BYTES: u64 = if cfg!(test) { 16 << 20 } else { 256 << 20 };
/// A run takes no longer; tests may share their machine with builds.
const LONGEST: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 2 });
/// Bits of a whole number.
const MOST_BITS: u64 = 1 << 16;
/// Stack that one more call must find.
const STACK_NEEDED: usize = 2 << 20;
/// Whole values are looked at once in so many that are made.
const LOOKED_AT: u64 = 1024;
/// An exit code that no program can ask for.
const SPENT: i32 = i32::MIN;

/// What is left of one run.
pub(super) struct Meter {
    steps: Cell<u64>,
    made: Cell<u64>,
    bytes: Cell<u64>,
    until: Instant,
    why: Cell<Option<&'static str>>,
}

impl Meter {
    pub(super) fn new() -> Meter {
        Meter {
            steps: Cell::new(0),
            made: Cell::new(0),
            bytes: Cell::new(0),
            until: Instant::now() + LONGEST,
            why: Cell::new(None),
        }
    }

    /// What was spent, when the run ended with this exception.
    pub(super) fn why(&self, code: i32) -> Option<&'static str> {
        self.why.get().filter(|_| code == SPENT)
    }

    fn spent<'a>(&self, why: &'static str) -> Exn<'a, Val> {
        self.why.set(Some(why));
        Exn::halt(SPENT)
    }

    /// One turn.
    fn step(&self) -> Result<(), &'static str> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps > MOST_STEPS {
            return Err("it takes too many steps");
        }
        if steps.is_multiple_of(256) && Instant::now() > self.until {
            return Err("it takes too long");
        }
        if stacker::remaining_stack().is_some_and(|left| left < STACK_NEEDED) {
            return Err("it recurses too deeply");
        }
        Ok(())
    }

    /// A value was made.
    fn make(&self, value: &Val) -> Result<(), &'static str> {
        let size = match value {
            Val::TStr(text) | Val::BStr(text) => text.len() as u64,
            Val::Arr(items) => items.len() as u64 * 16,
            Val::Obj(fields) => fields.len() as u64 * 40,
            Val::Num(Num::BigInt(number)) if number.bits() > MOST_BITS => {
                return Err("it makes a number of too many digits");
            }
            _ => 0,
        };
        let bytes = self.bytes.get() + size;
        self.bytes.set(bytes);
        if bytes > MOST_BYTES {
            return Err("it makes too much");
        }
        let made = self.made.get() + 1;
        self.made.set(made);
        if made.is_multiple_of(LOOKED_AT) { self.look(value) } else { self.step() }
    }

    /// A value is about to be gone through as a whole, perhaps parts of it many times.
    fn look(&self, value: &Val) -> Result<(), &'static str> {
        let seen = fits(value)?;
        self.steps.set(self.steps.get() + seen / 16);
        self.step()
    }
}

/// The kind of data that programs run on.
pub(super) struct Guarded;

#[derive(Clone)]
pub(super) struct Data<'a> {
    pub(super) lut: &'a Lut<Guarded>,
    pub(super) meter: &'a Meter,
}

impl DataT for Guarded {
    type V<'a> = Val;
    type Data<'a> = Data<'a>;
}

impl<'a> HasLut<'a, Guarded> for Data<'a> {
    fn lut(&self) -> &'a Lut<Guarded> {
        self.lut
    }
}

/// Names that no program can write.
pub(super) const STEP: &str = "-step";
pub(super) const MADE: &str = "-made";
pub(super) const WHOLE: &str = "-whole";
pub(super) const SHORT: &str = "-short";
pub(super) const PRODUCT: &str = "-product";

type Fun = (&'static str, Box<[Bind]>, Native<Guarded>);

/// The functions that count, and those that stand for others that cannot be offered as they are.
pub(super) fn functions() -> impl Iterator<Item = Fun> {
    fn fun(name: &'static str, run: jaq_core::RunPtr<Guarded>) -> Fun {
        (name, Box::new([]), Native::<Guarded>::new(run))
    }
    [
        fun(STEP, |cv| told(&cv, |meter, _| meter.step())),
        fun(MADE, |cv| told(&cv, Meter::make)),
        fun(WHOLE, |cv| told(&cv, Meter::look)),
        fun(SHORT, |cv| {
            told(&cv, |_, path| match path {
                Val::Arr(path) if path.len() > 1000 => Err("it uses a path that is too long"),
                _ => Ok(()),
            })
        }),
        fun(PRODUCT, |cv| box_once(product(&cv))),
        fun("fromjson", |cv| box_once(from_json(&cv.1).map_err(Exn::from))),
        // What they write would go to the gate's own standard error.
        fun("debug_empty", |_| Box::new(std::iter::empty())),
        fun("stderr_empty", |_| Box::new(std::iter::empty())),
        fun("env", |_| box_once(Ok(Val::obj(jaq_json::Map::default())))),
    ]
    .into_iter()
}

/// Functions of the standard library that those above stand for, and that are not offered.
pub(super) const REPLACED: [&str; 6] = ["fromjson", "debug_empty", "stderr_empty", "env", "input", "inputs"];

fn told<'a>(
    cv: &Cv<'a, Guarded>,
    count: impl FnOnce(&Meter, &Val) -> Result<(), &'static str>,
) -> ValXs<'a, Val> {
    let meter = cv.0.data().meter;
    box_once(match count(meter, &cv.1) {
        Ok(()) => Ok(Val::Bool(true)),
        Err(why) => Err(meter.spent(why)),
    })
}

/// The product of both elements of an array.
fn product<'a>(cv: &Cv<'a, Guarded>) -> Result<Val, Exn<'a, Val>> {
    let Val::Arr(pair) = &cv.1 else { return Ok(Val::Null) };
    let [left, right] = pair.as_slice() else { return Ok(Val::Null) };
    let times = |number: &Val| match number {
        Val::Num(Num::Int(times)) => u64::try_from(*times).unwrap_or(0),
        Val::Num(Num::Float(times)) => *times as u64,
        Val::Num(_) => u64::MAX,
        _ => 0,
    };
    let size = match (left, right) {
        (Val::TStr(text) | Val::BStr(text), number) | (number, Val::TStr(text) | Val::BStr(text)) => {
            times(number).saturating_mul(text.len() as u64)
        }
        _ => 0,
    };
    if size > MOST_BYTES {
        return Err(cv.0.data().meter.spent("it makes too much"));
    }
    (left.clone() * right.clone()).map_err(Exn::from)
}

/// As the library's, but with a limit of depth.
fn from_json(text: &Val) -> Result<Val, jaq_json::Error> {
    let Val::TStr(text) = text else {
        return Err(jaq_json::Error::str("only texts can be parsed as JSON"));
    };
    bloblang::Value::parse_json(text).map_err(jaq_json::Error::str)?;
    jaq_json::read::parse_single(text).map_err(jaq_json::Error::str)
}
