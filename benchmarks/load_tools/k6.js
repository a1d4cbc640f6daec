// GET URL by CONNECTIONS virtual users without a pause or, with RATE, at that rate a second.
import http from 'k6/http';

const rate = Number(__ENV.RATE || 0);
const duration = __ENV.DURATION;
const vus = Number(__ENV.CONNECTIONS);
const headers = JSON.parse(__ENV.HEADERS);

export const options = {
  discardResponseBodies: true,
  summaryTrendStats: ['med', 'p(95)', 'p(99)', 'p(99.9)'],
  scenarios: {
    all: rate
      ? { executor: 'constant-arrival-rate', rate, timeUnit: '1s', duration, preAllocatedVUs: vus }
      : { executor: 'constant-vus', vus, duration },
  },
};

export default function () {
  http.get(__ENV.URL, { headers });
}

export function handleSummary(data) {
  return { [__ENV.SUMMARY]: JSON.stringify(data.metrics) };
}
