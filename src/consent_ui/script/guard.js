(() => {
  const { dataset, src } = document.currentScript;
  const granted = new Set(dataset.granted.split(" "));
  // Stores everything, and reports what would be blocked.
  const observes = "observe" in dataset;
  const { categories, exact, wild, records, identifiers, tokens, logins, tracking, unclassified, presumes, own } = DATA;
  const known = new Map();
  exact.forEach((names, at) => names && names.split(" ").forEach((name) => known.set(name, categories[at])));
  const patterns = wild.map(([pattern, at]) => [new RegExp("^" + pattern + "$"), categories[at]]);
  const everything = categories.every((category) => granted.has(category));
  const find = (name) => known.get(name) || (patterns.find(([pattern]) => pattern.test(name)) || [])[1];
  const expressions = [records, identifiers, tokens, logins, tracking].map((source) => new RegExp(source, "i"));
  const [speaksOfConsent, isIdentifier, isToken, isLogin, tracks] = expressions;
  const allowed = (name, isPresumed = isToken) => {
    const category = find(name) || find(name.replace(/^__(host|secure|http|host-http)-/i, ""));
    if (category) return granted.has(category);
    if (unclassified || everything || (speaksOfConsent.test(name) && !isIdentifier.test(name))) return true;
    return presumes && isPresumed.test(inWords(name)) && !tracks.test(inWords(name));
  };
  // Scripts write CSRF tokens that a site needs, and keep logins in storage.
  const inWords = (name) => name.replace(/([a-z0-9])([A-Z])/g, "$1_$2");
  const allowedKey = (key) => allowed(key, isLogin);

  // Names that are reported, each once a page.
  const reported = { cookies: new Set(), storage: new Set(), hosts: new Set() };
  let news = {};
  let timer = 0;
  const send = () => {
    clearTimeout(timer);
    timer = 0;
    const names = [...(news.cookies || []), ...(news.storage || [])];
    if (names.length) {
      const verb = observes ? "would block" : "blocked";
      console.info(`consentry ${verb} storage without consent: ${names.join(", ")}`);
    }
    navigator.sendBeacon(new URL("held-back", src), new Blob([JSON.stringify(news)], { type: "application/json" }));
    news = {};
  };
  const report = (kind, name) => {
    const known = reported[kind];
    if (known.has(name) || known.size >= 16 || name.length > 128) return;
    known.add(name);
    (news[kind] = news[kind] || []).push(name);
    timer = timer || setTimeout(send, 1000);
  };
  addEventListener("pagehide", () => timer && send());
  if (observes && window.PerformanceObserver) {
    const hostsOf = (list) => list.getEntries().map(({ name }) => new URL(name, src).hostname).filter((host) => host && host !== location.hostname);
    const observer = new PerformanceObserver((list) => hostsOf(list).forEach((host) => report("hosts", host)));
    observer.observe({ type: "resource", buffered: true });
  }

  // Only SP and HTAB are blanks, as for browsers.
  const trim = (text) => text.replace(/^[ \t]+|[ \t]+$/g, "");
  const split = (part) => {
    const at = part.indexOf("=");
    return at < 0 ? [trim(part)] : [trim(part.slice(0, at)), trim(part.slice(at + 1))];
  };
  // Browsers differ in what they make of odd lifetimes: whatever one of them may read as a deletion is written anew as one.
  const day = 24 * 60 * 60 * 1000;
  const date = /^\w{3}, \d\d[ -]\w{3}[ -]\d{4} \d\d:\d\d:\d\d GMT$/;
  const isPast = (time) => !(time > Date.now() + day);
  const mayDelete = ([key, value = ""]) =>
    key === "max-age" ? !/^0*[1-9]\d*$/.test(value) : key === "expires" && (!date.test(value) || isPast(Date.parse(value)));
  const place = new Set(["path", "domain", "secure", "samesite", "partitioned"]);
  const deletion = (name, attributes) =>
    [name ? name + "=" : "=deleted", "max-age=0", "expires=Thu, 01 Jan 1970 00:00:00 GMT"]
      .concat(attributes.filter(([key]) => place.has(key)).map((attribute) => attribute.join("=")))
      .join("; ");

  // Scripts neither write nor delete the consent cookie. Browsers send the nameless `=name=value` as `name=value`.
  const isOwn = (pair) => !observes && own.includes(split(trim(pair).replace(/^=/, ""))[0]);

  // What may not be stored is kept until the page ends, so that scripts can read back what they wrote.
  const heldCookies = new Map();
  const cookie = Object.getOwnPropertyDescriptor(Document.prototype, "cookie");
  Object.defineProperty(Document.prototype, "cookie", {
    ...cookie,
    get() {
      if (this !== document) return cookie.get.call(this);
      const held = [...heldCookies].map(([name, value]) => (name ? name + "=" + value : value));
      const stored = cookie.get.call(this).split("; ");
      const others = stored.filter((pair) => pair && !heldCookies.has(pair.includes("=") ? split(pair)[0] : ""));
      return others.concat(held).join("; ");
    },
    set(value) {
      const [line] = String(value).split(/[\0\r\n]/, 1);
      const [pair, ...parts] = line.split(";");
      if (isOwn(pair)) return;
      const [name, text] = pair.includes("=") ? split(pair) : ["", trim(pair)];
      const attributes = parts.map(split).map(([key, ...rest]) => [key.toLowerCase(), ...rest]);
      const deletes = attributes.some(mayDelete);
      const passes = allowed(name);
      if (!passes && !deletes) report("cookies", name);
      if (passes || observes) cookie.set.call(this, line);
      else if (deletes) cookie.set.call(this, deletion(name, attributes));
      else if (!attributes.some(([key]) => key === "httponly")) return void heldCookies.set(name, text);
      heldCookies.delete(name);
    },
  });
  if (window.CookieStore) {
    const { get, getAll, set, delete: remove } = CookieStore.prototype;
    // Reads the name once: a getter may have another name the next time.
    const read = (args) => {
      const options = args.length === 1 && Object(args[0]) === args[0] ? args[0] : undefined;
      const name = String(options ? options.name : args[0]);
      return [name, options, options ? [Object.create(options, { name: { value: name } })] : [name, ...args.slice(1)]];
    };
    const held = (name) => [...heldCookies].filter(([key]) => name === undefined || key === name);
    const asCookie = ([name, value]) => ({ name, value, domain: null, path: "/", expires: null, secure: false, sameSite: "lax", partitioned: false });
    const wanted = (args) => (Object(args[0]) === args[0] ? args[0].name : args[0]);
    CookieStore.prototype.getAll = async function (...args) {
      const stored = await getAll.apply(this, args);
      const name = wanted(args);
      const others = stored.filter((item) => !heldCookies.has(item.name));
      return others.concat(held(name === undefined ? name : String(name)).map(asCookie));
    };
    CookieStore.prototype.get = async function (...args) {
      const stored = await get.apply(this, args);
      const [first] = held(String(wanted(args)));
      return first ? asCookie(first) : stored;
    };
    CookieStore.prototype.set = async function (...args) {
      const [name, options, passed] = read(args);
      if (isOwn(name)) return;
      const key = trim(name);
      const { expires, maxAge, domain, path, partitioned, value } = options || { value: args[1] };
      const deletes = (maxAge != null && !(maxAge > 0)) || (expires != null && isPast(expires));
      const passes = allowed(key);
      if (!passes && !deletes) report("cookies", key);
      if (passes || observes) {
        heldCookies.delete(key);
        return set.apply(this, passed);
      }
      if (!deletes) return void heldCookies.set(key, trim(String(value)));
      heldCookies.delete(key);
      return remove.call(this, { name, domain, path, partitioned });
    };
    CookieStore.prototype.delete = async function (...args) {
      const [name, , passed] = read(args);
      if (isOwn(name)) return;
      heldCookies.delete(trim(name));
      return remove.apply(this, passed);
    };
  }

  // Scripts get proxies of the storages; `storages` has the storage behind each, and the items that it holds back.
  const storages = new WeakMap();
  const prototype = Storage.prototype;
  const native = Object.getOwnPropertyDescriptors(prototype);
  const call = (name, storage, ...args) => native[name].value.apply(storage, args);
  const lengthOf = (storage) => native.length.get.call(storage);
  const keysOf = ({ real, held }) => {
    const keys = Array.from({ length: lengthOf(real) }, (_, at) => call("key", real, at));
    return keys.filter((key) => !held.has(key)).concat([...held.keys()]);
  };
  const methods = {
    getItem: (store, key) => (store.held.has(key) ? store.held.get(key) : call("getItem", store.real, key)),
    setItem: (store, key, value) => {
      if (!allowedKey(key)) {
        report("storage", key);
        if (!observes) return void store.held.set(key, value);
      }
      call("setItem", store.real, key, value);
      store.held.delete(key);
    },
    removeItem: (store, key) => {
      store.held.delete(key);
      call("removeItem", store.real, key);
    },
    clear: (store) => {
      store.held.clear();
      call("clear", store.real);
    },
    key: (store, at) => keysOf(store)[at] ?? null,
  };
  for (const [name, method] of Object.entries(methods)) {
    const count = method.length - 1;
    prototype[name] = function (...args) {
      const store = storages.get(this);
      // Too few arguments, or a storage of another window: the browser says what is wrong.
      if (!store || args.length < count) return call(name, store ? store.real : this, ...args);
      return method(store, ...args.slice(0, count).map((value) => (name === "key" ? Number(value) >>> 0 : String(value))));
    };
  }
  Object.defineProperty(prototype, "length", {
    ...native.length,
    get() {
      const store = storages.get(this);
      return store ? keysOf(store).length : lengthOf(this);
    },
  });
  for (const kind of ["localStorage", "sessionStorage"]) {
    let real;
    try { real = window[kind]; } catch { continue; }
    if (!real) continue;
    const store = { real, held: new Map() };
    const isItem = (key) => typeof key === "string" && !(key in prototype);
    const write = (key, value) => (methods.setItem(store, key, String(value)), true);
    const proxy = new Proxy(real, {
      get: (target, key, receiver) =>
        isItem(key) ? methods.getItem(store, key) ?? undefined : Reflect.get(prototype, key, receiver),
      has: (target, key) => (isItem(key) && store.held.has(key)) || Reflect.has(target, key),
      set: (target, key, value) => (isItem(key) ? write(key, value) : Reflect.set(target, key, value)),
      defineProperty: (target, key, how) =>
        isItem(key) ? write(key, how.value) : Reflect.defineProperty(target, key, how),
      deleteProperty: (target, key) =>
        isItem(key) ? (methods.removeItem(store, key), true) : Reflect.deleteProperty(target, key),
      ownKeys: (target) => [...new Set([...Reflect.ownKeys(target), ...store.held.keys()])],
      getOwnPropertyDescriptor: (target, key) =>
        isItem(key) && store.held.has(key)
          ? { value: store.held.get(key), configurable: true, enumerable: true, writable: true }
          : Reflect.getOwnPropertyDescriptor(target, key),
    });
    storages.set(real, store);
    storages.set(proxy, store);
    Object.defineProperty(window, kind, { get: () => proxy, configurable: true, enumerable: true });
  }
})();
