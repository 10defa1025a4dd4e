// The same WordPress over HTTPS, with other cookies (`wordpress_sec_…`, `Secure`).
export { start, visit } from "./wordpress.mjs";

export const tls = true;
