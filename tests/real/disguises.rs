//! A tracker behind a real nginx and PHP: every URL spelling that runs the tracker is a beacon for consentry too.

use std::path::Path;

use crate::nginx::{Nginx, folder};
use crate::site::Site;
use crate::support::{Proxy, RawClient, request};

/// Runs the script of a path with trailing path information, as in nginx's documentation.
const NGINX: &str = "server { listen 127.0.0.1:{port}; root ROOT;
    location / { return 404; }
    location ~ [^/]\\.php(/|$) {
        fastcgi_split_path_info ^(.+?\\.php)(/.*)$;
        if (!-f $document_root$fastcgi_script_name) { return 404; }
        include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_pass unix:ROOT/php.sock;
    } }";

/// The body of the response to a GET.
fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut client = RawClient::connect(address);
    client.send(&request("GET", path, &[]));
    client.reply("GET").text()
}

#[test]
fn no_path_spelling_of_nginx_and_php_bypasses_a_beacon_rule() {
    let site = Site::start();
    let root: &Path = site.folder.path();
    let script = "<?php if (($_GET['action'] ?? '') === 'hit_record') echo 'tracked';";
    std::fs::write(root.join("ajax.php"), script).unwrap();
    let own = folder();
    let nginx = Nginx::start(own.path(), &NGINX.replace("ROOT", &root.display().to_string()));
    let proxy = Proxy::start_with(&format!(
        "[[beacon]]\npath = '/ajax.php'\nquery = 'action=hit_record'\ncategory = 'analytics'\n\
         [[site]]\nupstream = '{}'\n",
        nginx.url()
    ));
    let paths = [
        "/ajax.php",
        "//ajax.php",
        "/x/../ajax.php",
        "/./ajax.php",
        "/%61jax%2Ephp",
        "/%2fajax.php",
        "/ajax.php/",
        "/ajax.php/x",
        "/ajax.php/x/y.gif",
        "/ajax%2ephp%2fx",
        "/x/..%2Fajax.php",
        "/AJAX.php",
        "/ajax.php;a",
        "/ajax.php/;a",
        "/ajax.php%20",
        "/ajax.php.",
        "/ajax.php%00",
        "/ajax.php/x/../y",
        "/ajax.php/x/..",
        "/x%2f..%2fajax.php/a",
        "/ajax.phpx",
        "/ajax%252ephp",
    ];
    let queries = [
        "action=hit_record",
        "%61ction=hit_record",
        "action=hit%5Frecord",
        "x=1&action=hit_record",
        "+action=hit_record",
        "%20action=hit_record",
        "x;action=hit_record",
        "action=no&action=hit_record",
        "action%3Dhit_record",
        "Action=hit_record",
        "action=Hit_Record",
        "action=hit_record&x=1",
    ];
    let mut ran = 0;
    for path in paths {
        for query in queries {
            let target = format!("{path}?{query}");
            if get(nginx.address, &target) != "tracked" {
                continue;
            }
            ran += 1;
            assert_ne!(get(proxy.address, &target), "tracked", "{target}");
        }
    }
    assert!(ran >= 80, "nginx and PHP run the tracker for {ran} of these");
    assert_eq!(get(proxy.address, "/ajax.php?action=other"), "", "the script itself is reached");
}
