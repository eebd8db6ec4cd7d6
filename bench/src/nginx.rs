//! nginx as the plain proxy to compare with.

use crate::process::{Folder, Launch, Process, free_port};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A running nginx with one worker.
#[derive(Debug)]
pub(crate) struct Nginx {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    _folder: Folder,
}

impl Nginx {
    /// Starts nginx on one core in front of `upstream`, with a configuration that does no more than proxy.
    pub(crate) fn start(program: &Path, core: usize, upstream: SocketAddr) -> io::Result<Nginx> {
        let mut nginx = Nginx::unasked(program, core, upstream)?;
        let address = nginx.address;
        crate::gate::wait_for(&mut nginx.process, address, None, "/60", Duration::from_secs(10))?;
        Ok(nginx)
    }

    /// The same for an upstream that is asked for large bodies only: it listens.
    pub(crate) fn unasked(program: &Path, core: usize, upstream: SocketAddr) -> io::Result<Nginx> {
        let folder = Folder::create("nginx")?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let path = folder.path().display();
        // Bodies pass through memory only: files on the way would count against it. Connections are kept for ever on both sides: reconnecting after each thousandth request, nginx's default,
        // would count against it.
        let configuration = format!(
            "daemon off;
worker_processes 1;
pid {path}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_max_body_size 0;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    keepalive_requests 1000000000;
    client_body_temp_path {path}/body;
    proxy_temp_path {path}/proxy;
    fastcgi_temp_path {path}/fastcgi;
    uwsgi_temp_path {path}/uwsgi;
    scgi_temp_path {path}/scgi;
    upstream origin {{
        server {upstream};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address} backlog=4096;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
        }}
    }}
}}
"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration)?;
        let (prefix, file) = (path.to_string(), file.display().to_string());
        let arguments = ["-p", &prefix, "-e", "stderr", "-c", &file];
        let process = Process::start(Launch {
            name: "nginx",
            program,
            arguments: &arguments,
            core,
            folder: folder.path(),
            stdin: Stdio::null(),
        })?;
        let mut nginx = Nginx { process, address, _folder: folder };
        nginx.listens()?;
        Ok(nginx)
    }

    fn listens(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(error) = TcpStream::connect(self.address) {
            self.process.alive()?;
            if Instant::now() > deadline {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}
