//! What others write in transactions (`transaction_isolation_level`), with a producer that is not ours.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::json;

use crate::ends::unique;
use crate::harness::{PATIENCE, Reader, broker, create_topic};

/// A producer with a transaction under way.
struct Transaction(BaseProducer);

impl Transaction {
    /// Begins one and has the broker store these in it.
    fn begin(topic: &str, lines: &[&str]) -> Transaction {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", broker()).set("transactional.id", unique("transaction"));
        let producer: BaseProducer = config.create().expect("a producer");
        producer.init_transactions(PATIENCE).expect("the broker knows transactions");
        producer.begin_transaction().expect("begun");
        for line in lines {
            producer.send(BaseRecord::<(), str>::to(topic).payload(line)).expect("queued");
        }
        producer.flush(PATIENCE).expect("stored");
        Transaction(producer)
    }

    fn commit(self) {
        self.0.commit_transaction(PATIENCE).expect("committed");
    }

    fn abort(self) {
        self.0.abort_transaction(PATIENCE).expect("aborted");
    }
}

/// 2.6 and 3.9, `transaction_isolation_level`.
#[tokio::test(flavor = "multi_thread")]
async fn only_who_reads_uncommitted_messages_gets_those_of_an_aborted_transaction() {
    let committed: &[&str] = &["a", "b", "c"];
    let all: &[&str] = &["a", "b", "x", "y", "c"];
    for (level, expected) in [("read_committed", committed), ("read_uncommitted", all)] {
        let topic = unique("transactions");
        create_topic(broker(), &topic, 1).await;
        Transaction::begin(&topic, &["a", "b"]).commit();
        Transaction::begin(&topic, &["x", "y"]).abort();
        Transaction::begin(&topic, &["c"]).commit();
        let group = unique("g");
        let fields = |group: &str| json!({"consumer_group": group, "transaction_isolation_level": level});
        let mut franz = Reader::franz(broker(), &[&topic], fields(&unique("g")));
        assert_eq!(franz.texts(expected.len()).await, expected, "{level}");
        franz.stop().await;
        let mut reader = Reader::start(broker(), &[&topic], fields(&group));
        assert_eq!(reader.texts(expected.len()).await, expected, "{level}");
        reader.stop().await;

        // It goes on behind what was left out, and waits for what is not decided yet.
        let open = Transaction::begin(&topic, &["later"]);
        let mut reader = Reader::start(broker(), &[&topic], fields(&group));
        if level == "read_committed" {
            assert!(reader.rest(Duration::from_secs(2)).await.is_empty(), "nothing is committed");
        }
        open.commit();
        assert_eq!(reader.texts(1).await, ["later"], "{level}");
        reader.stop().await;
    }
}
