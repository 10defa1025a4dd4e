<?php
// A typical site: a session login, and cookies of several trackers on every page.
session_start();
setcookie('_ga', 'GA1.1.42', ['expires' => time() + 63072000, 'path' => '/']);
setcookie('_fbp', 'fb.1.42', ['expires' => time() + 7776000, 'path' => '/', 'httponly' => true]);
setcookie('lang', 'en', ['path' => '/']);
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/login' && $_SERVER['REQUEST_METHOD'] === 'POST') {
    session_regenerate_id(true);
    $_SESSION['user'] = $_POST['user'];
    header('Location: /account', true, 303);
    exit;
}
if ($path === '/logout') {
    session_destroy();
    setcookie(session_name(), '', ['expires' => 1, 'path' => '/']);
    header('Location: /', true, 303);
    exit;
}
if ($path === '/matomo.php') {
    file_put_contents($_SERVER['DOCUMENT_ROOT'] . '/pixels', 'x', FILE_APPEND);
    header('Content-Type: image/gif');
    echo base64_decode('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7');
    exit;
}
header('Content-Type: text/html; charset=utf-8');
$names = array_keys($_COOKIE);
sort($names);
?>
<!doctype html>
<html lang="en"><title>Shop</title>
<p id="user"><?= htmlspecialchars($_SESSION['user'] ?? 'nobody') ?></p>
<p id="seen"><?= htmlspecialchars(implode(' ', $names)) ?></p>
<p id="https"><?= htmlspecialchars($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') ?></p>
<p id="left"></p>
<script>
// A tracker in the page, which no proxy sees writing.
if (location.search === '?track') {
  document.cookie = '_hjSessionUser_1=x; path=/';
  document.cookie = '_gid=GA1.1.7; path=/; max-age=86400';
  document.cookie = 'PHPSESSID_theme=dark; path=/';
  location.replace('/?after');
} else {
  document.getElementById('left').textContent =
    document.cookie.split('; ').map(function (pair) { return pair.split('=')[0]; }).sort().join(' ');
}
</script>
<img src="/matomo.php?idsite=1&amp;rec=1" alt="">
</html>
