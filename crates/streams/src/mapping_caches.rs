//! The caches of a stream, as mappings use them: `cache_get`, `cache_set`, `cache_add`, `cache_delete`.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bloblang::{Caches, Environment};
use bytes::Bytes;
use document::Fault;

use crate::build::BuildContext;
use crate::cache::Cache;
use crate::in_place::{in_place, park_until_done};
use crate::settings::Settings;

/// The caches by their labels, once they are built: mappings are parsed before.
#[derive(Default)]
pub(crate) struct MappingCaches(OnceLock<BTreeMap<String, Arc<dyn Cache>>>);

impl MappingCaches {
    /// Settings whose mappings may use these caches.
    pub(crate) fn granted_in(self: &Arc<Self>, settings: &Settings) -> Settings {
        let mut settings = settings.clone();
        settings.environment = settings.environment.with_caches(self.clone());
        settings
    }

    /// Gives mappings every cache of the stream; also those that nothing else refers to.
    pub(crate) fn bind(&self, context: &mut BuildContext<'_>) -> Result<(), Fault> {
        let caches = context.all_caches()?;
        let _ = self.0.set(caches); // a stream is built once
        Ok(())
    }

    fn named(&self, label: &str) -> Result<&Arc<dyn Cache>, String> {
        let found = self.0.get().and_then(|caches| caches.get(label));
        found.ok_or_else(|| "there is no cache resource of this label".to_owned())
    }
}

/// An environment in which mappings are only checked, with the functions of caches.
pub(crate) fn checked(environment: &Environment) -> Environment {
    environment.clone().with_caches(Arc::new(MappingCaches::default()))
}

/// How long a mapping waits for a cache. Caches have times of their own that are shorter; this one ends what would never end, such as
/// a cache that waits for something that this very task would have to do.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for a cache within a mapping, which cannot be interrupted: those in memory answer at once, the others while other
/// tasks of this thread go on elsewhere.
fn wait<T>(
    asked: impl Future<Output = Result<T, crate::cache::CacheError>>,
    patience: Duration,
) -> Result<T, String> {
    let mut asked = pin!(asked);
    let answer = match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => match in_place(|| park_until_done(asked, patience)) {
            Some(Some(answer)) => answer,
            Some(None) => return Err(format!("the cache does not answer within {patience:?}")),
            None => return Err("a cache outside of the process cannot be waited for here".to_owned()),
        },
    };
    answer.map_err(|fault| fault.to_string())
}

impl Caches for MappingCaches {
    fn get(&self, cache: &str, key: &str) -> Result<Bytes, String> {
        wait(self.named(cache)?.get(key), PATIENCE)
    }

    fn set(&self, cache: &str, key: &str, value: Bytes) -> Result<(), String> {
        wait(self.named(cache)?.set(key, value, None), PATIENCE)
    }

    fn add(&self, cache: &str, key: &str, value: Bytes) -> Result<(), String> {
        wait(self.named(cache)?.add(key, value, None), PATIENCE)
    }

    fn delete(&self, cache: &str, key: &str) -> Result<(), String> {
        wait(self.named(cache)?.delete(key), PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use crate::{Message, Processors, Registry, Settings};

    #[tokio::test]
    async fn mappings_use_the_caches_of_their_stream() {
        let config = json!({
            "cache_resources": [{ "label": "seen", "memory": { "init_values": { "a": "1" } } }],
            "pipeline": { "processors": [
                { "mapping": "root.a = cache_get(\"seen\", \"a\").string()\nroot.b = cache_set(\"seen\", this.id, \"2\")" },
                { "mapping": "root = this\nroot.c = cache_get(\"seen\", \"x\").string()\nroot.d = cache_add(\"seen\", \"x\", \"3\").catch(err -> err)" },
                { "mapping": "root = this\nroot.e = cache_delete(\"seen\", \"x\")\nroot.f = cache_get(\"seen\", \"x\").catch(err -> err)\nroot.g = cache_get(\"gone\", \"x\").catch(err -> err)" },
            ] },
        });
        let settings = Settings::new(Registry::standard());
        let mut whole = config.clone();
        whole["input"] = json!({ "generate": { "mapping": "root.id = \"x\"" } });
        whole["output"] = json!({ "drop": {} });
        assert_eq!(crate::lint(&whole, "", &settings), []);
        let processors = Processors::of_config(&config, "/pipeline/processors", &settings).unwrap();
        let made = processors.run(vec![Message::new(r#"{"id":"x"}"#)]).await;
        let made = &made[0][0];
        assert_eq!(made.error(), None);
        let expected = json!({
            "a": "1", "b": null, "c": "2", "d": "failed to add to cache `seen`: key already exists",
            "e": null, "f": "failed to get cache `seen`: key does not exist",
            "g": "failed to get cache `gone`: there is no cache resource of this label",
        });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(made.bytes()).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_cache_that_two_refer_to_is_one() {
        let config = json!({
            "cache_resources": [
                { "label": "both", "multilevel": ["lower", "upper"] },
                { "label": "lower", "memory": {} },
                { "label": "upper", "memory": {} },
            ],
            "pipeline": { "processors": [
                { "mapping": "root.a = cache_set(\"both\", \"k\", \"v\")\nroot.b = cache_get(\"lower\", \"k\").string()" },
            ] },
        });
        let settings = Settings::new(Registry::standard());
        let processors = Processors::of_config(&config, "/pipeline/processors", &settings).unwrap();
        let made = processors.run(vec![Message::new("{}")]).await;
        assert_eq!(made[0][0].error(), None);
    }

    #[test]
    fn processors_without_resources_have_no_caches() {
        let list = json!([{ "mapping": "root = cache_get(\"a\", \"b\")" }]);
        let refused = Processors::build(&list, "", &Settings::new(Registry::standard())).unwrap_err();
        assert!(refused.message.contains("caches"), "{}", refused.message);
    }

    // A cache that answers later: the thread waits, other tasks go on.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_slow_cache_is_waited_for() {
        let asked = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(5)
        };
        assert_eq!(super::wait(asked, super::PATIENCE), Ok(5));
    }

    // Such as a lock that another future of the same task holds.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_cache_that_never_answers_is_given_up() {
        let waited: Result<(), String> = super::wait(std::future::pending(), Duration::from_millis(1));
        assert_eq!(waited.unwrap_err(), "the cache does not answer within 1ms");
    }

    #[tokio::test]
    async fn where_nobody_else_could_work_a_slow_cache_is_refused() {
        let waited: Result<(), String> = super::wait(std::future::pending(), super::PATIENCE);
        assert!(waited.unwrap_err().contains("cannot be waited for here"));
    }
}
