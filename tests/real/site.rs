//! A real site with nginx and PHP behind consentry: a login works, and `_ga` is stripped.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::nginx::{Nginx, PeerProcess, folder, program};
use crate::support::{Proxy, consent_cookie, full_consent, request};

pub struct Site {
    pub folder: tempfile::TempDir,
    pub nginx: Nginx,
    _php: PeerProcess,
}

impl Site {
    pub fn start() -> Self {
        let folder = folder();
        let path = folder.path().display().to_string();
        std::fs::write(folder.path().join("index.php"), include_str!("site.php")).unwrap();
        std::fs::create_dir(folder.path().join("sessions")).unwrap();
        let pool = format!(
            "[global]\nerror_log = {path}/php.log\ndaemonize = no\n[www]\nlisten = {path}/php.sock\nlisten.mode = 0666\n\
             pm = static\npm.max_children = 2\nphp_admin_value[session.save_path] = {path}/sessions\n"
        );
        std::fs::write(folder.path().join("fpm.conf"), pool).unwrap();
        // As the current user, who owns the directory.
        let php = PeerProcess::spawn(
            Command::new(php_fpm())
                .args(["-R", "-n", "-F", "-d", "extension=session", "-y"])
                .arg(folder.path().join("fpm.conf")),
        );
        let socket = folder.path().join("php.sock");
        crate::support::wait_until("PHP listens", || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
        let nginx = Nginx::start(
            folder.path(),
            "server { listen 127.0.0.1:{port}; root {folder};
               location / { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME {folder}/index.php;
                 fastcgi_pass unix:{folder}/php.sock; } }",
        );
        Self { folder, nginx, _php: php }
    }

    pub fn proxy(&self, toml: &str) -> Proxy {
        Proxy::start_with(&format!("{toml}\n[[site]]\nupstream = '{}'\n", self.nginx.url()))
    }

    /// The number of requests for the site's tracking pixel.
    pub fn pixels(&self) -> usize {
        std::fs::read(self.folder.path().join("pixels")).map_or(0, |pixels| pixels.len())
    }
}

fn php_fpm() -> PathBuf {
    let names = std::fs::read_dir("/usr/sbin")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let name = names.filter(|name| name.starts_with("php-fpm")).max();
    program(&name.expect("php-fpm is missing: `make test` installs it"))
}

/// A visitor with a cookie jar.
struct BrowserSession<'a> {
    proxy: &'a Proxy,
    jar: BTreeMap<String, String>,
}

impl BrowserSession<'_> {
    fn cookies(&self) -> String {
        self.jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Follows one redirect, and returns the page.
    fn go(&mut self, method: &str, path: &str, form: &str) -> String {
        let mut client = self.proxy.connect();
        let cookies = self.cookies();
        let length = form.len().to_string();
        let mut fields = vec![("Cookie", cookies.as_str()), ("Sec-Fetch-Mode", "navigate")];
        if method == "POST" {
            fields.extend([
                ("Content-Length", length.as_str()),
                ("Content-Type", "application/x-www-form-urlencoded"),
            ]);
        }
        client.send(&request(method, path, &fields));
        client.send(form.as_bytes());
        let reply = client.reply(method);
        for line in reply.set_cookies() {
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if rest.contains("Max-Age=0")
                || rest.contains("01 Jan 1970")
                || rest.contains("01-Jan-1970")
            {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
        match reply.field("location") {
            Some(location) if reply.status == 303 => self.go("GET", &location, ""),
            _ => reply.text(),
        }
    }
}

/// The text of an element of a page.
pub fn element_text(page: &str, id: &str) -> String {
    let start = page
        .split(&format!("<p id=\"{id}\">"))
        .nth(1)
        .unwrap_or_else(|| panic!("no {id} in {page}"));
    start.split('<').next().unwrap().to_owned()
}

#[test]
fn logins_survive_and_trackers_do_not() {
    let site = Site::start();
    let proxy = site.proxy("");
    let mut client = BrowserSession { proxy: &proxy, jar: BTreeMap::new() };
    assert_eq!(element_text(&client.go("GET", "/", ""), "user"), "nobody");
    let page = client.go("POST", "/login", "user=ada");
    assert_eq!(element_text(&page, "user"), "ada");
    assert_eq!(client.jar.keys().collect::<Vec<_>>(), ["PHPSESSID"], "nothing else was stored");
    for _ in 0..3 {
        let page = client.go("GET", "/account", "");
        assert_eq!(
            (element_text(&page, "user").as_str(), element_text(&page, "seen").as_str()),
            ("ada", "PHPSESSID")
        );
    }
    // Cookies from before the installation are hidden from the site and deleted, except the login.
    client
        .jar
        .extend([("_ga".to_owned(), "old".to_owned()), ("_fbp".to_owned(), "old".to_owned())]);
    assert_eq!(element_text(&client.go("GET", "/account", ""), "seen"), "PHPSESSID");
    assert_eq!(client.jar.keys().collect::<Vec<_>>(), ["PHPSESSID"]);
    assert_eq!(element_text(&client.go("GET", "/logout", ""), "user"), "nobody");

    proxy.get("/matomo.php?idsite=1&rec=1", &[]);
    assert_eq!(site.pixels(), 0);
}

#[test]
fn with_consent_the_site_works_as_without_consentry() {
    let site = Site::start();
    let proxy = site.proxy("");
    let allowed = full_consent();
    let (name, value) = allowed.split_once('=').unwrap();
    let mut client = BrowserSession {
        proxy: &proxy,
        jar: BTreeMap::from([(name.to_owned(), value.to_owned())]),
    };
    client.go("POST", "/login", "user=ada");
    let page = client.go("GET", "/account", "");
    assert_eq!(element_text(&page, "user"), "ada");
    assert_eq!(element_text(&page, "seen"), "PHPSESSID _fbp _ga consentry lang");
    proxy.get("/matomo.php?idsite=1&rec=1", &[("Cookie", &allowed)]);
    assert_eq!(site.pixels(), 1);
    // After a withdrawal, the next page load hides and deletes the cookies without consent.
    let withdrawn = consent_cookie("functional");
    client.jar.insert("consentry".to_owned(), withdrawn.split_once('=').unwrap().1.to_owned());
    assert_eq!(element_text(&client.go("GET", "/account", ""), "seen"), "PHPSESSID consentry lang");
    assert_eq!(client.jar.keys().collect::<Vec<_>>(), ["PHPSESSID", "consentry", "lang"]);
}
