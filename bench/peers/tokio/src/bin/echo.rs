// examples/echo.cpp for Tokio: echo [WORKERS]; 0 is the current_thread runtime.
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

async fn echo(mut peer: TcpStream) -> std::io::Result<()> {
    peer.set_nodelay(true)?;
    let mut buffer = [0u8; 4096];
    loop {
        let n = peer.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        peer.write_all(&buffer[..n]).await?;
    }
}

fn main() -> std::io::Result<()> {
    let workers: usize = std::env::args().nth(1).map_or(1, |n| n.parse().expect("WORKERS is a number"));
    let rt = match workers {
        0 => Builder::new_current_thread().enable_all().build()?,
        n => Builder::new_multi_thread().worker_threads(n).enable_all().build()?,
    };
    rt.block_on(async {
        let server = tokio::spawn(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            println!("listening on {}", listener.local_addr()?);
            loop {
                let (peer, _) = listener.accept().await?;
                tokio::spawn(echo(peer));
            }
        });
        server.await.unwrap()
    })
}
