vcl 4.1;
# The CDN tier: keeps redirects for an hour in front of the two load balancers.
import directors;
import std;

probe lb_alive {
    .url = "/healthz";
    # While the first connection to a dead load balancer is being tried, Toxiproxy holds all that
    # follow it (1.1 s): until the probe has noticed, half of the requests pile up there.
    .interval = 0.2s;
    .timeout = 0.3s;
    .window = 3;
    .threshold = 2;     # out after two failures (1 s), back after two answers
    .initial = 2;       # healthy at start: the first request must not wait for a probe
}

# All are links of Toxiproxy: a load balancer that is down accepts and closes at once.
# >>> backends
backend lb_1 {
    .host = "toxiproxy";
    .port = "20101";
    .connect_timeout = 0.5s;
    .max_connections = 128;     # beyond it another load balancer is asked at once
    .probe = lb_alive;
}
backend lb_2 {
    .host = "toxiproxy";
    .port = "20102";
    .connect_timeout = 0.5s;
    .max_connections = 128;     # beyond it another load balancer is asked at once
    .probe = lb_alive;
}
# <<< backends

sub vcl_init {
    # >>> directors
    new either = directors.round_robin();
    either.add_backend(lb_1);
    either.add_backend(lb_2);
    new lb_1_first = directors.fallback();
    lb_1_first.add_backend(lb_1);
    lb_1_first.add_backend(lb_2);
    new lb_2_first = directors.fallback();
    lb_2_first.add_backend(lb_2);
    lb_2_first.add_backend(lb_1);
    # <<< directors
}

sub vcl_recv {
    # When the request arrived, for its trace: seconds since the epoch, and microseconds beside
    # them, because a number of so many digits fails the request here.
    set req.http.X-Edge-Start = "" + std.integer(time = now) + " " + std.integer(
        real = (std.real(time = now) - std.real(integer = std.integer(time = now))) * 1000000.0);
    unset req.http.X-Repeatable;
    if (req.method == "GET" || req.method == "HEAD") {
        set req.http.X-Repeatable = "yes";
    } elsif (req.http.Idempotency-Key) {
        # A write that the app can recognise may be sent again, if its body is still at hand.
        if (!req.http.Content-Length && !req.http.Transfer-Encoding) {
            set req.http.X-Repeatable = "yes";
        } elsif (std.integer(req.http.Content-Length, 1000000) < 16384 && std.cache_req_body(16KB)) {
            set req.http.X-Repeatable = "yes";
        }
    }
    if (!(req.method == "GET" || req.method == "HEAD")) {
        return (pass);
    }
    # Only /{code} is a redirect; /api/... and the servers' own pages are never kept.
    if (req.url !~ "^/[A-Za-z0-9_-]+$" || req.url ~ "^/(api|health|healthz|ready|metrics|debug)$") {
        return (pass);
    }
    unset req.http.Cookie;
    return (hash);
}

sub vcl_backend_fetch {
    # Repeats go to the load balancer that the failed try did not use.
    if (bereq.retries == 0) {
        set bereq.backend = either.backend();
    # >>> next one
    } elsif (bereq.http.X-Failed == "lb_1") {
        set bereq.backend = lb_2_first.backend();
    } else {
        set bereq.backend = lb_1_first.backend();
    }
    # <<< next one
    # A load balancer may need 1 s for a frozen app server and one more try; a write 4 s. What may
    # be repeated is, early enough to be answered within 5 s.
    set bereq.first_byte_timeout = 6s;
    if (bereq.http.X-Repeatable) {
        set bereq.first_byte_timeout = 3s;
        if (bereq.method == "GET" || bereq.method == "HEAD") {
            set bereq.first_byte_timeout = 2500ms;
        }
    }
}

sub vcl_backend_error {
    # The fetch itself failed: no answer at all, whatever its status would have been.
    if (bereq.http.X-Repeatable && bereq.retries < 2) {
        set bereq.http.X-Failed = beresp.backend.name;
        return (retry);
    }
    set beresp.http.X-Edge-Error = "yes";
}

sub vcl_backend_response {
    # A request without a body, or with one that was kept, is sent once more, uncounted, if the
    # kept connection that it went out on is closed: "the first try" is more than is known here.
    unset beresp.http.X-Attempt;
    set beresp.grace = 0s;      # an expired link must not be served "once more"
    # One wish of the app is a law here: an answer it wants to keep private stays private.
    if (beresp.http.Cache-Control ~ "(?i)(private|no-store|no-cache)") {
        set beresp.uncacheable = true;
        set beresp.ttl = 60s;
    } elsif (beresp.status == 302 && !bereq.uncacheable) {
        # Without a max-age of the app's (links that expire) for an hour, as the text says.
        if (beresp.http.Cache-Control !~ "(?i)(max-age|s-maxage)" || beresp.ttl > 1h) {
            set beresp.ttl = 1h;
        }
        unset beresp.http.Set-Cookie;
    } else {
        # 404 and errors: "not cacheable" is remembered, so that requests for the same code do
        # not queue up behind each other; a 302 that comes later is cached nevertheless.
        set beresp.uncacheable = true;
        set beresp.ttl = 10s;
    }
    # A header of the object, not `req.url`: such bans are dropped as soon as their work is done.
    set beresp.http.X-Path = bereq.url;
    # 404: a repeated DELETE finds that the first try, whose answer was lost, did it.
    if ((bereq.method == "DELETE" || bereq.method == "PUT")
        && (beresp.status < 300 || beresp.status == 404) && bereq.url ~ "^/api/v1/urls/[A-Za-z0-9_-]+$") {
        ban("obj.http.X-Path == /" + regsub(bereq.url, "^/api/v1/urls/", ""));
    }
    return (deliver);
}

sub vcl_deliver {
    # Made here, not by a load balancer: as a synthetic answer it is counted (`s_synth`), and an alert
    # knows of it.
    if (resp.http.X-Edge-Error) {
        return (synth(503));
    }
    if (obj.hits > 0) {
        # Who really answered: the edge, not the server that did so up to an hour ago.
        set resp.http.X-Cache = "edge";
        set resp.http.X-Served-By = "edge";
        unset resp.http.X-Db-Node;
        unset resp.http.traceparent;
        if (req.http.traceparent) {
            set resp.http.traceparent = req.http.traceparent;
        }
    }
    unset resp.http.X-Path;
    unset resp.http.X-Varnish;
    unset resp.http.Via;
    return (deliver);
}
