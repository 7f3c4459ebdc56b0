use forebay_tests::FsKind;

use crate::client::Client;
use crate::site::Site;
use crate::volume::Volume;
use crate::{BACK_MOSTLY, MIB, number};

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn a_node_starts_on_a_full_volume_and_serves_reads() {
    let volume = Volume::new(FsKind::Tmpfs);
    let mut site = Site::start(&volume);
    let mut client = Client::new(&site.server, "orders", 2, &[]);
    volume.fill_but(12 * MIB);
    client.fill();
    volume.fill();
    site.shown_full("orders");
    for start in 0..number("FOREBAY_FULL_STARTS", 4) {
        if start % 2 == 0 {
            site.server.kill();
        } else {
            let _ = site.server.stop();
        }
        volume.fill();
        assert_eq!(volume.free_bytes(), 0);
        site.spawn();
        client.reconnect(&site.server);
        client.refused();
        client.check();
        assert_eq!(site.status("orders"), "OutOfSpace");
    }
    volume.free_but(0);
    let took = client.back();
    assert!(took < BACK_MOSTLY, "{took:?}");
    client.check();
    site.no_panic();
}
