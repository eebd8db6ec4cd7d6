//! One instance of a filter: its memory, and the calls that it serves one after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use wasmi::{Linker, Memory, Module, Store, StoreLimits, StoreLimitsBuilder, TrapCode, TypedFunc};

use super::Sees;
use super::exchange::Exchange;
use super::imports;
use crate::code::Limits;
use crate::{Answer, Fault, Outside};

/// What an instance may compute in a second, in fuel: about what an interpreter does in one.
const FUEL: u64 = 200_000_000;
/// The context of the filter itself; those of calls come after it.
const ROOT: u32 = 1;
/// What a filter says where it does not want to go on yet.
const PAUSE: u32 = 1;

/// What all instances of a filter share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// With a number that changes with the text.
    pub(super) texts: HashMap<Vec<u8>, (Vec<u8>, u32)>,
    pub(super) metrics: Vec<(Vec<u8>, u64)>,
}

/// What the functions of the gate see.
pub(crate) struct State {
    limits: StoreLimits,
    pub(super) outside: Arc<dyn Outside>,
    pub(super) shared: Arc<Mutex<Shared>>,
    pub(super) configuration: Vec<u8>,
    pub(super) exchange: Exchange,
    pub(super) memory: Option<Memory>,
    /// Makes room in that memory.
    pub(super) room: Option<TypedFunc<u32, u32>>,
    /// Requests that were sent for this call.
    pub(super) sent: u32,
}

/// The context, the number of the request, and how much its answer has of fields, body and trailers.
type OnAnswer = TypedFunc<(u32, u32, u32, u32, u32), ()>;

/// What the filter offers. All but the first may be left out.
struct Exports {
    on_context: Option<TypedFunc<(u32, u32), ()>>,
    on_request_headers: Option<Phase>,
    on_request_body: Option<TypedFunc<(u32, u32, u32), u32>>,
    on_response_headers: Option<Phase>,
    on_response_body: Option<TypedFunc<(u32, u32, u32), u32>>,
    on_answer: Option<OnAnswer>,
    on_done: Option<TypedFunc<u32, u32>>,
    on_log: Option<TypedFunc<u32, ()>>,
    on_delete: Option<TypedFunc<u32, ()>>,
}

/// Older filters are not told whether a body follows.
#[derive(Clone, Copy)]
enum Phase {
    Two(TypedFunc<(u32, u32), u32>),
    Three(TypedFunc<(u32, u32, u32), u32>),
}

pub(crate) struct Instance {
    store: Store<State>,
    exports: Exports,
    limits: Limits,
    /// The context of the last call.
    context: u32,
    broken: bool,
}

impl Instance {
    /// Makes an instance and configures it.
    ///
    /// # Errors
    /// It is no filter, or does not want to be one with this configuration.
    pub(super) fn new(
        module: &Module,
        configuration: &[u8],
        limits: Limits,
        outside: &Arc<dyn Outside>,
        shared: &Arc<Mutex<Shared>>,
        engine: &wasmi::Engine,
    ) -> Result<Self, Fault> {
        let unusable = |why: wasmi::Error| match fault(&why, limits) {
            Fault::Thrown(text) => Fault::Unusable(format!("the filter cannot be used: {text}")),
            other => other,
        };
        let state = State {
            limits: StoreLimitsBuilder::new()
                .memory_size(limits.memory)
                .table_elements(1 << 17)
                .tables(8)
                .trap_on_grow_failure(true)
                .build(),
            outside: Arc::clone(outside),
            shared: Arc::clone(shared),
            configuration: configuration.to_vec(),
            exchange: Exchange::default(),
            memory: None,
            room: None,
            sent: 0,
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limits);
        store.set_fuel(fuel(limits)).map_err(unusable)?;
        let mut linker = Linker::new(engine);
        imports::link(&mut linker, module).map_err(unusable)?;
        let instance = linker.instantiate_and_start(&mut store, module).map_err(unusable)?;
        store.data_mut().memory = instance.get_memory(&store, "memory");
        let room = ["proxy_on_memory_allocate", "malloc"];
        store.data_mut().room = room.iter().find_map(|name| instance.get_typed_func(&store, name).ok());
        for name in ["_initialize", "_start"] {
            if let Ok(begin) = instance.get_typed_func::<(), ()>(&store, name) {
                match begin.call(&mut store, ()) {
                    // A program that has come to its end.
                    Err(why) if why.i32_exit_status() == Some(0) => {}
                    ran => ran.map_err(unusable)?,
                }
                break;
            }
        }
        let phase = |name: &str| {
            let three = instance.get_typed_func(&store, name).ok().map(Phase::Three);
            three.or_else(|| instance.get_typed_func(&store, name).ok().map(Phase::Two))
        };
        let exports = Exports {
            on_context: instance.get_typed_func(&store, "proxy_on_context_create").ok(),
            on_request_headers: phase("proxy_on_request_headers"),
            on_request_body: instance.get_typed_func(&store, "proxy_on_request_body").ok(),
            on_response_headers: phase("proxy_on_response_headers"),
            on_response_body: instance.get_typed_func(&store, "proxy_on_response_body").ok(),
            on_answer: instance.get_typed_func(&store, "proxy_on_http_call_response").ok(),
            on_done: instance.get_typed_func(&store, "proxy_on_done").ok(),
            on_log: instance.get_typed_func(&store, "proxy_on_log").ok(),
            on_delete: instance.get_typed_func(&store, "proxy_on_delete").ok(),
        };
        let on_context = exports.on_context.ok_or_else(|| {
            Fault::Unusable(
                "this is no filter of proxy-wasm: it exports no `proxy_on_context_create`".to_owned(),
            )
        })?;
        on_context.call(&mut store, (ROOT, 0)).map_err(unusable)?;
        let length = u32::try_from(configuration.len()).unwrap_or(u32::MAX);
        for (name, length) in [("proxy_on_vm_start", 0), ("proxy_on_configure", length)] {
            if let Ok(asked) = instance.get_typed_func::<(u32, u32), u32>(&store, name)
                && asked.call(&mut store, (ROOT, length)).map_err(unusable)? == 0
            {
                let text = format!("the filter does not want to start: `{name}` says no to `config_data`");
                return Err(Fault::Unusable(text));
            }
        }
        Ok(Self { store, exports, limits, context: ROOT, broken: false })
    }

    pub(super) const fn is_sound(&self) -> bool {
        !self.broken
    }

    /// Whether it does anything with what it would be called with.
    pub(super) const fn sees(&self, sees: Sees) -> bool {
        let exports = &self.exports;
        match sees {
            Sees::Requests => exports.on_request_headers.is_some() || exports.on_request_body.is_some(),
            Sees::Answers => exports.on_response_headers.is_some() || exports.on_response_body.is_some(),
            Sees::Records => exports.on_log.is_some(),
        }
    }

    /// Has the filter see an exchange; gives what it made of it.
    ///
    /// # Errors
    /// Why it came to no end.
    pub(super) fn call(&mut self, exchange: Exchange) -> Result<Exchange, Fault> {
        // Until it is known that nothing is left in the middle of something.
        self.broken = true;
        let until = Instant::now() + self.limits.time;
        self.context = self.context.checked_add(1).unwrap_or(ROOT + 1);
        let state = self.store.data_mut();
        (state.exchange, state.sent) = (exchange, 0);
        let fuel = fuel(self.limits);
        self.store.set_fuel(fuel).map_err(|why| self.fault(&why))?;
        self.run(until)?;
        self.broken = false;
        let seen = &mut self.store.data_mut().exchange;
        Ok(std::mem::take(seen))
    }

    fn run(&mut self, until: Instant) -> Result<(), Fault> {
        let context = self.context;
        if let Some(create) = self.exports.on_context {
            create.call(&mut self.store, (context, ROOT)).map_err(|why| self.fault(&why))?;
        }
        let exchange = &self.store.data().exchange;
        let (fields, body, has_body, on_headers, on_body) = match exchange.sees {
            // A filter that keeps a log is told of the end of an exchange, by its properties.
            Sees::Records => return self.end(context).map_err(|why| self.fault(&why)),
            Sees::Requests => (
                exchange.request.len(),
                exchange.request_body.len(),
                exchange.has_request_body,
                self.exports.on_request_headers,
                self.exports.on_request_body,
            ),
            Sees::Answers => (
                exchange.response.len(),
                exchange.response_body.len(),
                exchange.has_response_body,
                self.exports.on_response_headers,
                self.exports.on_response_body,
            ),
        };
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let mut action = 0;
        if let Some(phase) = on_headers {
            let ran = match phase {
                Phase::Three(phase) => {
                    phase.call(&mut self.store, (context, number(fields), u32::from(!has_body)))
                }
                Phase::Two(phase) => phase.call(&mut self.store, (context, number(fields))),
            };
            action = ran.map_err(|why| self.fault(&why))?;
            self.fulfil(until)?;
        }
        // One that pauses here may wait for the body alone, which is there.
        let is_answered = self.store.data().exchange.answer.is_some();
        if let Some(phase) = on_body.filter(|_| has_body && !is_answered) {
            let ran = phase.call(&mut self.store, (context, number(body), 1));
            action = ran.map_err(|why| self.fault(&why))?;
            self.fulfil(until)?;
        }
        let exchange = &self.store.data().exchange;
        if action == PAUSE && !exchange.goes_on && exchange.answer.is_none() {
            return Err(Fault::Shape("the filter pauses, and there is nothing that it waits for".to_owned()));
        }
        self.end(context).map_err(|why| self.fault(&why))
    }

    /// Sends what the filter wants sent, and tells it of the answers, until it wants nothing more.
    fn fulfil(&mut self, until: Instant) -> Result<(), Fault> {
        loop {
            let state = self.store.data_mut();
            let Some((own, request)) = state.exchange.wishes.pop_front() else { return Ok(()) };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Fault::Late(self.limits.time));
            }
            let answer = state.outside.send(&request, left);
            // A filter is told of a request that got no answer by an answer without fields.
            let (fields, body) = match answer {
                Ok(answer) => called(answer),
                Err(why) => {
                    state.outside.log(&format!("no answer to a request of a filter: {why}"));
                    (Vec::new(), Vec::new())
                }
            };
            let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
            let arguments = (self.context, own, number(fields.len()), number(body.len()), 0);
            (state.exchange.called, state.exchange.called_body) = (fields, body);
            if let Some(told) = self.exports.on_answer {
                told.call(&mut self.store, arguments).map_err(|why| self.fault(&why))?;
            }
        }
    }

    fn end(&mut self, context: u32) -> Result<(), wasmi::Error> {
        if let Some(done) = self.exports.on_done {
            done.call(&mut self.store, context)?;
        }
        for last in [self.exports.on_log, self.exports.on_delete].into_iter().flatten() {
            last.call(&mut self.store, context)?;
        }
        Ok(())
    }

    fn fault(&self, why: &wasmi::Error) -> Fault {
        fault(why, self.limits)
    }
}

/// The answer to a request, as filters see it.
fn called(answer: Answer) -> (super::pairs::Pairs, Vec<u8>) {
    let mut fields = vec![(b":status".to_vec(), answer.code.to_string().into_bytes())];
    for (name, values) in answer.headers {
        let name = name.to_ascii_lowercase().into_bytes();
        fields.extend(values.into_iter().map(|value| (name.clone(), value.into_bytes())));
    }
    (fields, answer.body.into_bytes())
}

fn fuel(limits: Limits) -> u64 {
    u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX).saturating_mul(FUEL / 1000)
}

fn fault(why: &wasmi::Error, limits: Limits) -> Fault {
    match why.as_trap_code() {
        Some(TrapCode::OutOfFuel) => Fault::Late(limits.time),
        Some(TrapCode::GrowthOperationLimited) => Fault::Memory(limits.memory),
        _ => Fault::Thrown(why.to_string()),
    }
}
