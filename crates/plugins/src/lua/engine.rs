//! One engine: the files of an API, run once and called as often as it holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mlua::chunk::ChunkMode;
use mlua::{Function, HookTriggers, Lua, LuaOptions, StdLib, Table, Value, VmState};
use parking_lot::Mutex;

use super::values::{self, Empty};
use super::{Code, Object, apart, arguments, results};
use crate::code::{Limits, Source};
use crate::outside::shortened;
use crate::{Fault, Hook, Outgoing, Outside};

/// How often is looked whether the time is up, in instructions.
const INSTRUCTIONS: u32 = 10_000;
const LATE: &str = "the time is up";

pub(crate) struct Engine {
    lua: Lua,
    until: Arc<Mutex<Instant>>,
    limits: Limits,
    /// It ran out of time or memory: what it holds may be anything.
    broken: bool,
}

impl Engine {
    /// Makes an engine and runs the files in it.
    ///
    /// # Errors
    /// What is wrong with a file, and where.
    pub(super) fn new(code: &Code, limits: Limits, outside: &Arc<dyn Outside>) -> Result<Self, Fault> {
        let until = Arc::new(Mutex::new(Instant::now() + limits.time));
        let make = || -> mlua::Result<Lua> {
            let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::UTF8 | StdLib::COROUTINE;
            let lua = Lua::new_with(libraries, LuaOptions::default())?;
            let watched = Arc::clone(&until);
            let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS);
            lua.set_global_hook(triggers, move |_, _| in_time(&watched).map(|()| VmState::Continue))?;
            let native = native(&lua, code, &until, outside)?;
            lua.load(include_str!("prelude.lua")).set_name("=gate").call::<()>(native)?;
            lua.set_memory_limit(limits.memory)?;
            Ok(lua)
        };
        let lua = make().map_err(|why| Fault::Unusable(format!("no engine for Lua: {}", told(&why))))?;
        let mut engine = Self { lua, until, limits, broken: false };
        for source in &code.main {
            let ran = chunk(&engine.lua, source).and_then(|chunk| chunk.call::<()>(()));
            engine.end(ran).map_err(|fault| match fault {
                Fault::Thrown(text) => Fault::Unusable(format!("`{}` cannot be used: {text}", source.name)),
                other => other,
            })?;
        }
        Ok(engine)
    }

    pub(super) const fn is_sound(&self) -> bool {
        !self.broken
    }

    /// Whether the files define a function of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.lua.globals().raw_get::<Function>(name).is_ok()
    }

    /// Calls a hook with an object of the protocol; gives what it made of it.
    ///
    /// # Errors
    /// What it threw, or why it was ended.
    pub(super) fn call(
        &mut self,
        name: &str,
        hook: Hook,
        object: Object,
        raw_only: bool,
    ) -> Result<Object, Fault> {
        *self.until.lock() = Instant::now() + self.limits.time;
        let (object, bodies) = apart(object);
        let ran = self.ran(name, hook, &object, &bodies, raw_only);
        let (given, made) = self.end(ran)?;
        // What the plugin was given is no more than a table to it.
        let read = move || -> Result<Object, String> {
            let mut value = values::json(&Value::Table(given), Empty::Left, 0)?;
            for path in [
                &["request", "headers"][..],
                &["request", "set_headers"],
                &["request", "params"],
                &["request", "add_params"],
                &["request", "extended_params"],
                &["request", "return_overrides", "headers"],
                &["response", "headers"],
                &["session", "metadata"],
                &["metadata"],
            ] {
                values::texts(&mut value, path);
            }
            serde_json::from_value(value).map_err(|why| why.to_string())
        };
        let mut object = read().map_err(Fault::Shape)?;
        let [request, answer] = made;
        if let Some(given) = &mut object.request {
            given.raw_body = request;
        }
        if let Some(given) = &mut object.response {
            given.raw_body = answer;
        }
        Ok(object)
    }

    /// Has a function edit a record, which is JSON before and after.
    ///
    /// # Errors
    /// What it threw, or why it was ended.
    pub(super) fn record(
        &mut self,
        name: &str,
        record: &str,
        spec: &HashMap<String, String>,
    ) -> Result<String, Fault> {
        let record: serde_json::Value =
            serde_json::from_str(record).map_err(|why| Fault::Unusable(why.to_string()))?;
        *self.until.lock() = Instant::now() + self.limits.time;
        let ran = || -> mlua::Result<Value> {
            let record = values::lua(&self.lua, &record)?;
            let function: Function = self.lua.globals().raw_get(name)?;
            let given: Value = function.call((record.clone(), values::lua(&self.lua, spec)?))?;
            // A function that gives nothing has changed the record itself.
            Ok(if given.is_nil() { record } else { given })
        };
        let ran = ran();
        let given = self.end(ran)?;
        values::json(&given, Empty::Left, 0).map(|value| value.to_string()).map_err(Fault::Shape)
    }

    fn ran(
        &self,
        name: &str,
        hook: Hook,
        object: &Object,
        bodies: &[Vec<u8>; 2],
        raw_only: bool,
    ) -> mlua::Result<(Table, [Vec<u8>; 2])> {
        let shape = |name: &str| mlua::Error::runtime(format!("`{name}` is no table any more"));
        let Value::Table(all) = values::lua(&self.lua, object)? else { return Err(shape("the object")) };
        let holders = [("request", &bodies[0]), ("response", &bodies[1])];
        for (holder, body) in holders {
            if let Some(table) = all.raw_get::<Option<Table>>(holder)? {
                let text = self.lua.create_string(body)?;
                table.raw_set("body", if raw_only { self.lua.create_string("")? } else { text.clone() })?;
                table.raw_set("raw_body", text)?;
            }
        }
        let function: Function = self.lua.globals().raw_get(name)?;
        let given: mlua::Result<Vec<Value>> = arguments(hook).iter().map(|name| all.raw_get(*name)).collect();
        let returned: mlua::MultiValue = function.call(mlua::MultiValue::from_vec(given?))?;
        for (name, value) in results(hook).iter().zip(returned) {
            match value {
                Value::Table(_) => all.raw_set(*name, value)?,
                Value::Nil => {}
                _ => return Err(shape(name)),
            }
        }
        let mut made = [Vec::new(), Vec::new()];
        for ((holder, before), made) in holders.into_iter().zip(&mut made) {
            let Some(table) = all.raw_get::<Option<Table>>(holder)? else { continue };
            let bytes = |name: &str| -> mlua::Result<Option<Vec<u8>>> {
                let text: Option<mlua::LuaString> = table.get(name)?;
                Ok(text.map(|text| text.as_bytes().to_vec()))
            };
            let (raw, text) = (bytes("raw_body")?, bytes("body")?);
            *made = match (raw, text) {
                (Some(raw), _) if raw != *before => raw,
                (_, Some(text)) if text != *before && !(raw_only && text.is_empty()) => text,
                (None, _) => Vec::new(),
                (Some(raw), _) => raw,
            };
            table.raw_set("body", Value::Nil)?;
            table.raw_set("raw_body", Value::Nil)?;
        }
        Ok((all, made))
    }

    fn end<T>(&mut self, ran: mlua::Result<T>) -> Result<T, Fault> {
        ran.map_err(|why| {
            let text = told(&why);
            // Nobody knows what an engine keeps that was stopped anywhere.
            if Instant::now() >= *self.until.lock() {
                self.broken = true;
                return Fault::Late(self.limits.time);
            }
            if text.contains("not enough memory") {
                self.broken = true;
                return Fault::Memory(self.limits.memory);
            }
            Fault::Thrown(text)
        })
    }
}

fn in_time(until: &Mutex<Instant>) -> mlua::Result<()> {
    if Instant::now() >= *until.lock() { Err(mlua::Error::runtime(LATE)) } else { Ok(()) }
}

/// The function that a file is. Bytecode is none: it could do anything.
fn chunk(lua: &Lua, source: &Source) -> mlua::Result<Function> {
    let chunk = lua.load(&*source.text).set_name(format!("@{}", source.name));
    chunk.set_mode(ChunkMode::Text).into_function()
}

/// The functions of the gate.
fn native(
    lua: &Lua,
    code: &Code,
    until: &Arc<Mutex<Instant>>,
    outside: &Arc<dyn Outside>,
) -> mlua::Result<Table> {
    let native = lua.create_table()?;
    let failed = mlua::Error::runtime::<String>;
    let watched = Arc::clone(until);
    native.set("in_time", lua.create_function(move |_, ()| in_time(&watched))?)?;
    native.set("null", Value::NULL)?;
    let encode = |_: &Lua, value: Value| {
        values::json(&value, Empty::Object, 0).map(|value| value.to_string()).map_err(mlua::Error::runtime)
    };
    native.set("encode", lua.create_function(encode)?)?;
    let decode = |lua: &Lua, text: mlua::LuaString| {
        let value: serde_json::Value =
            serde_json::from_slice(&text.as_bytes()).map_err(mlua::Error::runtime)?;
        values::lua(lua, &value)
    };
    native.set("decode", lua.create_function(decode)?)?;
    let to = |_: &Lua, text: mlua::LuaString| Ok(STANDARD.encode(&*text.as_bytes()));
    native.set("to_base64", lua.create_function(to)?)?;
    let from = |lua: &Lua, text: mlua::LuaString| {
        let bytes = STANDARD.decode(&*text.as_bytes()).map_err(mlua::Error::runtime)?;
        lua.create_string(bytes)
    };
    native.set("from_base64", lua.create_function(from)?)?;
    let world = Arc::clone(outside);
    let log = move |_: &Lua, line: mlua::LuaString| {
        world.log(shortened(&String::from_utf8_lossy(&line.as_bytes())));
        Ok(())
    };
    native.set("log", lua.create_function(log)?)?;
    let world = Arc::clone(outside);
    let store = move |_: &Lua, (name, text, seconds): (String, String, u64)| {
        world.store(&name, &text, seconds, false).map(drop).map_err(failed)
    };
    native.set("store", lua.create_function(store)?)?;
    let world = Arc::clone(outside);
    let trigger = move |_: &Lua, (event, payload): (String, mlua::LuaString)| {
        world.trigger(&event, shortened(&String::from_utf8_lossy(&payload.as_bytes())));
        Ok(())
    };
    native.set("trigger", lua.create_function(trigger)?)?;
    let world = Arc::clone(outside);
    let stored = move |_: &Lua, name: String| world.stored(&name).map_err(failed);
    native.set("stored", lua.create_function(stored)?)?;
    let (world, watched) = (Arc::clone(outside), Arc::clone(until));
    let send = move |lua: &Lua, request: Value| {
        let request = values::json(&request, Empty::Left, 0).map_err(failed)?;
        let request: Outgoing = serde_json::from_value(request).map_err(mlua::Error::runtime)?;
        let left: Duration = watched.lock().saturating_duration_since(Instant::now());
        let answer = world.send(&request, left).map_err(failed)?;
        let told = serde_json::json!({"Code": answer.code, "Body": answer.body, "Headers": answer.headers});
        values::lua(lua, &told)
    };
    native.set("send", lua.create_function(send)?)?;
    let modules = code.modules.clone();
    let module = move |lua: &Lua, name: String| {
        let path = name.replace('.', "/");
        let wanted = |source: &&Source| source.name.strip_suffix(".lua") == Some(&path);
        modules.iter().find(wanted).map(|source| chunk(lua, source)).transpose()
    };
    native.set("module", lua.create_function(module)?)?;
    Ok(native)
}

/// What was thrown, without the way there.
fn told(why: &mlua::Error) -> String {
    let mut why = why;
    while let mlua::Error::CallbackError { cause, .. } = why {
        why = cause;
    }
    let text = why.to_string();
    let text = text.lines().next().unwrap_or_default();
    let prefixes = ["runtime error: ", "syntax error: "];
    prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text).to_owned()
}
