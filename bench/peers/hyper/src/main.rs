//! The HTTP server of bench/README.md on hyper and tokio: `hyper-peer serve_http WORKERS SECONDS`. One worker is tokio's
//! current-thread scheduler. Answers to pipelined requests are written together.
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::server::conn::AddrIncoming;
use hyper::service::{make_service_fn, service_fn};
use hyper::{Body, Request, Response, Server};
use std::convert::Infallible;
use tokio::runtime::{Builder, Runtime};

async fn hello(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut response = Response::new(Body::from("Hello, world!\n"));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

async fn serve() {
    let mut incoming =
        AddrIncoming::bind(&([127, 0, 0, 1], 0).into()).expect("a listener");
    incoming.set_nodelay(true);
    println!("port {}", incoming.local_addr().port());
    let service = make_service_fn(|_| async { Ok::<_, Infallible>(service_fn(hello)) });
    Server::builder(incoming)
        .http1_only(true)
        .http1_pipeline_flush(true)
        .serve(service)
        .await
        .expect("connections");
}

fn runtime(workers: usize) -> Runtime {
    let mut builder = match workers {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if workers > 1 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build().expect("a runtime")
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let workers = match arguments.as_slice() {
        [_, name, workers, _] if name == "serve_http" => workers.parse().unwrap_or(0),
        _ => 0,
    };
    if workers == 0 {
        eprintln!("usage: hyper-peer serve_http WORKERS SECONDS");
        std::process::exit(2);
    }
    let runtime = runtime(workers);
    if workers == 1 {
        runtime.block_on(serve());
    } else {
        runtime
            .block_on(runtime.spawn(serve()))
            .expect("the server");
    }
}
