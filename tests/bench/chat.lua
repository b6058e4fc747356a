-- SPDX-License-Identifier: Apache-2.0
-- What wrk asks in bench_http.c: a stream of one word.
wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"messages":[{"role":"user","content":"hi"}],"stream":true,"max_tokens":1}'
