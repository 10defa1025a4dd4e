//! The container image, built by buildah and run by podman as intended: read-only, as an unprivileged user.

use std::process::{Command, Output};

use crate::kubernetes::documents;
use crate::nginx::{PeerProcess, free_port, program, wait_for_listener};
use crate::support::Origin;

const STORAGE: &str = "--storage-driver=vfs";

fn run_to_success(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

#[test]
fn the_image_runs_read_only_and_unprivileged_and_is_small() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let root = env!("CARGO_MANIFEST_DIR");
    let binary = format!("{root}/deploy/container/consentry");
    assert!(std::path::Path::new(&binary).exists(), "`make image` builds {binary}");
    // The same command as `make image`.
    let recipe =
        run_to_success(Command::new("make").args(["--dry-run", "image"]).current_dir(root));
    let recipe = String::from_utf8(recipe.stdout).unwrap();
    let build = recipe.lines().find(|line| line.starts_with("buildah ")).unwrap();
    run_to_success(Command::new("sh").args(["-c", build]).current_dir(root));

    let archive = path("image.tar");
    run_to_success(
        Command::new(program("buildah"))
            .args([STORAGE, "push", "consentry"])
            .arg(format!("oci-archive:{archive}")),
    );
    let bytes = std::fs::metadata(&archive).unwrap().len();
    assert!(bytes < 15 << 20, "{bytes} bytes, compressed");

    let origin = Origin::setting_cookies(&["_ga=1", "sid=1"]);
    let (port, admin) = (free_port(), free_port());
    let config = format!("listen = '127.0.0.1:{port}'\n[[site]]\nupstream = '{}'\n", origin.url());
    std::fs::write(path("consentry.toml"), config).unwrap();
    // The maximum that this machine allows a container.
    std::fs::write(
        path("containers.conf"),
        "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n",
    )
    .unwrap();
    let podman = || {
        let mut command = Command::new(program("podman"));
        command.env("CONTAINERS_CONF", path("containers.conf"));
        // Health checks run below, not as systemd timers, because systemd may be missing.
        command.env("DISABLE_HC_SYSTEMD", "true");
        command.args([STORAGE, "--cgroup-manager=cgroupfs", "--runtime"]).arg(program("runc"));
        command
    };
    let name = format!("consentry-{port}");
    let mut run = podman();
    run.args(["run", "--rm", "--name", &name, "--network=host", "--read-only", "--cap-drop=all"]);
    // For `run`, and for the health checks in the container.
    run.args(["-e", &format!("CONSENTRY_ADMIN=127.0.0.1:{admin}"), "-v"]);
    run.arg(format!("{}:/etc/consentry/consentry.toml:ro", path("consentry.toml")));
    let running = PeerProcess::spawn(run.arg("consentry"));
    wait_for_listener(([127, 0, 0, 1], port).into());
    let mut client = crate::support::RawClient::connect(([127, 0, 0, 1], port).into());
    client.send(&crate::support::request("GET", "/", &[]));
    assert_eq!(client.reply("GET").set_cookies(), ["sid=1"]);

    let inspected = run_to_success(podman().args([
        "inspect",
        "--format",
        "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}}",
        &name,
    ]));
    assert_eq!(String::from_utf8_lossy(&inspected.stdout).trim(), "65532:65532 true");
    // The health checks of the image and of the compose file.
    run_to_success(podman().args(["healthcheck", "run", &name]));
    let compose = format!("{root}/deploy/container/compose.yaml");
    let compose = documents(&std::fs::read_to_string(compose).unwrap()).remove(0);
    let check = compose["services"]["consentry"]["healthcheck"]["test"].clone();
    let check: Vec<String> = serde_json::from_value(check).unwrap();
    assert_eq!(check[0], "CMD");
    let health = run_to_success(podman().args(["exec", &name]).args(&check[1..]));
    assert_eq!(health.stdout, b"ready\n");
    // It stops on request.
    run_to_success(podman().args(["stop", "--time", "20", &name]));
    drop(running);
}
