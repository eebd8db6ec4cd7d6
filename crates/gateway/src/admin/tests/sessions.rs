//! Sessions as the data plane knows them, while the store of this node is written to.

use std::sync::Arc;
use std::time::Duration;

use apidef::Session;

use super::Admin;

#[tokio::test]
async fn a_session_is_read_again_once_any_is_written_or_it_ends() {
    // Nothing is believed for a while: whoever is known is known because nothing has changed.
    let admin = Admin::start(|settings| settings.keys.cache_for = Duration::ZERO).await;
    let (gate, session) = (&admin.gate, Session::default());
    let known = || gate.callers.known("", "key");
    let look_up = async || gate.callers.look_up(gate, "", "key").await.ok().flatten();
    gate.state.put_session("key", &session, None).await.unwrap();
    assert!(known().is_none());
    let first = look_up().await.unwrap();
    assert!(known().is_some_and(|caller| Arc::ptr_eq(&caller, &first)));

    gate.state.put_session("other", &session, None).await.unwrap();
    assert!(known().is_none(), "it may be the one that was written");
    assert!(look_up().await.is_some_and(|caller| Arc::ptr_eq(&caller, &first)), "it was not");
    assert!(known().is_some());

    assert!(
        gate.state.update_session("key", &Session { rate: 7.0, ..Session::default() }, None).await.unwrap()
    );
    assert!(known().is_none());
    assert_eq!(look_up().await.map(|caller| caller.common().rate), Some(7.0));
    assert!(gate.state.delete_session("key").await.unwrap());
    assert!(known().is_none() && look_up().await.is_none());

    // The same session as ever, but for a while only.
    gate.state.put_session("key", &session, Some(Duration::from_millis(50))).await.unwrap();
    assert!(look_up().await.is_some());
    while known().is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(look_up().await.is_none());
}
