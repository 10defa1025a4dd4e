// The same WordPress over https, where it sets other cookies (`wordpress_sec_…`, `Secure`).
export { start, visit } from "./wordpress.mjs";

export const tls = true;
