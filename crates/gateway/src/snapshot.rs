//! The whole running configuration, immutable; a change makes a new one and swaps one pointer.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use apidef::{Api, Definition, Policy};

use crate::backend::Backend;
use crate::backend::tools::Catalog;
use crate::chain::Chain;
use crate::events::Handlers;
use crate::listen::AskedByName;
use crate::metrics::ApiMetrics;
use crate::plugins::Plugins;
use crate::record;
use crate::route::looping::url_name;
use crate::route::{Listens, Patterns, Table, Versions};

/// Everything that an exchange may see.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up with every change that was applied.
    pub generation: u64,
    /// The generation in which policies last changed; sessions merged before it are merged anew.
    pub policy_generation: u64,
    /// By API id.
    pub apis: HashMap<Arc<str>, Arc<RunningApi>>,
    /// Those whose connections are passed through, none of which stands in the way of another.
    pub(crate) passed: Vec<Arc<RunningApi>>,
    /// By host and listen path.
    pub routes: Table<Arc<RunningApi>>,
    /// The same for ports of APIs, beside the gate's own.
    pub(crate) by_port: BTreeMap<u16, OwnRoutes>,
    /// What TLS clients are asked for, by name.
    pub(crate) asked: AskedByName,
    /// By policy id.
    pub policies: Arc<HashMap<String, Arc<Policy>>>,
    /// The tools that are made of APIs, by the ids of those that have them.
    pub(crate) tools: HashMap<Arc<str>, Arc<Catalog>>,
    /// The ids of APIs by their names as they may stand in URLs; made when somebody asks.
    pub(crate) names: OnceLock<HashMap<String, Arc<str>>>,
}

impl Snapshot {
    /// Nothing at all: what runs before the first load.
    pub(crate) fn empty(strict: bool) -> Self {
        Self {
            generation: 0,
            policy_generation: 0,
            apis: HashMap::new(),
            passed: Vec::new(),
            routes: Table::new(strict),
            by_port: BTreeMap::new(),
            asked: AskedByName::default(),
            policies: Arc::default(),
            tools: HashMap::new(),
            names: OnceLock::new(),
        }
    }

    /// Whether it is this very object that runs under its id.
    pub(crate) fn runs(&self, api: &Arc<RunningApi>) -> bool {
        self.apis.get(&api.identity.id).is_some_and(|other| Arc::ptr_eq(other, api))
    }

    /// Whether an API has tools that are made of another one.
    pub(crate) fn has_tools(&self, api: &RunningApi) -> bool {
        self.tools.contains_key(&api.identity.id)
    }

    /// The APIs whose tools are made of this one.
    pub(crate) fn made_of(&self, api: &str) -> Vec<String> {
        let all = self.tools.iter().filter(|(_, catalog)| catalog.source() == api);
        let mut ids: Vec<String> = all.map(|(id, _)| id.to_string()).collect();
        ids.sort_unstable();
        ids
    }

    /// The API of this id, or of this name as it may stand in a URL.
    pub(crate) fn api_called(&self, name: &str) -> Option<Arc<RunningApi>> {
        if let Some(api) = self.apis.get(name) {
            return Some(Arc::clone(api));
        }
        let names = self.names.get_or_init(|| {
            let mut ids: Vec<&Arc<str>> = self.apis.keys().collect();
            // Of several with one name it is always the same one.
            ids.sort_unstable_by(|one, other| other.cmp(one));
            // A name comes before an id that looks like it.
            let by_id = ids.iter().map(|id| (url_name(id), Arc::clone(id)));
            let by_name = self.apis.iter().map(|(id, api)| (url_name(&api.model.name), Arc::clone(id)));
            let mut by_name: Vec<(String, Arc<str>)> = by_name.collect();
            by_name.sort_unstable_by(|(_, one), (_, other)| other.cmp(one));
            by_id.chain(by_name).collect()
        });
        let wanted = Some(url_name(name)).filter(|wanted| !wanted.is_empty())?;
        self.apis.get(names.get(&wanted)?).cloned()
    }
}

/// What is served on a port of APIs.
#[derive(Debug)]
pub(crate) struct OwnRoutes {
    /// Over TLS.
    pub(crate) tls: bool,
    /// By host and listen path.
    pub(crate) routes: Table<Arc<RunningApi>>,
}

/// One API as it runs. An unchanged definition keeps its very object over any number of changes around it.
#[derive(Debug)]
pub struct RunningApi {
    /// Where it came from.
    pub definition: Arc<Definition>,
    /// The model that the chain was compiled from.
    pub model: Arc<Api>,
    /// The code of users on the way.
    pub(crate) plugins: Option<Arc<Plugins>>,
    /// Who is told of what happens; `None` where nobody is.
    pub(crate) events: Option<Arc<Handlers>>,
    /// Who may pass and what happens on the way.
    pub chain: Chain,
    /// The patterns of its paths, of all that it has for single ones.
    pub(crate) patterns: Patterns,
    /// What serves versions of it; `None` where requests are not told apart.
    pub(crate) versions: Option<Box<Versions>>,
    /// Gives tokens, where the API says so.
    pub(crate) oauth: Option<crate::oauth::Server>,
    /// What is behind the chain.
    pub backend: Backend,
    /// Where it listens, where that is a pattern.
    pub(crate) listens: Listens,
    /// Counters; kept when the definition changes.
    pub metrics: Arc<ApiMetrics>,
    /// The port that it is served on, and whether TLS is spoken there; `None` where it is the gate's own.
    pub(crate) own_port: Option<(u16, bool)>,
    /// Names for records.
    pub identity: Identity,
    /// It stands in no catalog: it is made for a stream that came over the API of streams.
    pub(crate) hosted: bool,
}

/// What every record of an API says about it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// API id.
    pub id: Arc<str>,
    /// Human name.
    pub name: Arc<str>,
    /// Organisation.
    pub org: Arc<str>,
    /// Which version it is, where an API serves several itself; else empty.
    pub version: Arc<str>,
    /// What all its records are labelled with.
    pub tags: Arc<[Arc<str>]>,
}

impl Identity {
    pub(crate) fn of(api: &Api) -> Self {
        Self {
            tags: record::of_api(api),
            id: (*api.id).into(),
            name: (*api.name).into(),
            org: (*api.org_id).into(),
            version: (*api.version).into(),
        }
    }

    /// The names of a changed API, sharing what stayed the same.
    pub(crate) fn of_again(api: &Api, before: &Self) -> Self {
        let same =
            |text: &str, before: &Arc<str>| if *text == **before { Arc::clone(before) } else { text.into() };
        Self {
            tags: record::of_api(api),
            id: same(&api.id, &before.id),
            name: same(&api.name, &before.name),
            org: same(&api.org_id, &before.org),
            version: same(&api.version, &before.version),
        }
    }
}
