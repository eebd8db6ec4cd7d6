//! The price of being in between: the gate as a keyless proxy beside nginx as a plain proxy.

use crate::compare::{Behind, Contender, alternate};
use crate::gate::Setup;
use crate::nginx::Nginx;
use crate::report::{Bound, Report};
use crate::upstream::Upstream;
use crate::{Settings, http};
use std::io;

pub(crate) fn run(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let upstream = Upstream::start()?;
    let setup = Setup::new("gate", false)?;
    setup.proxy("open", false, upstream.address())?;
    let gate = setup.start(&settings.gate, settings.gate_core)?;
    let nginx = Nginx::start(&settings.nginx, settings.gate_core, upstream.address())?;
    for (label, length) in [("60 B", 60), ("2 KB", 2048)] {
        let case = format!("keyless proxy, {label}");
        let path = length.to_string();
        let contenders = [
            gate.contender("gate", vec![gate.get("open", &path, &[])]),
            Contender {
                name: "nginx",
                process: &nginx.process,
                address: nginx.address,
                tls: None,
                requests: vec![http::render("GET", &format!("/{path}"), nginx.address, &[], "").into_bytes()],
            },
        ];
        let measured = alternate(&case, &contenders, Behind::Inside(&upstream), settings, report)?;
        if let [gate, nginx] = measured.as_slice() {
            gate.report(report, &case, Some(nginx));
            nginx.report(report, &case, None);
            report.target(&format!("{case}: CPU / nginx's"), gate.ratio(nginx), 2, Bound::AtMost(1.25));
        }
    }
    Ok(())
}
