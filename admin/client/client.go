package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/runfile"
)

// DefaultAddress is where a daemon listens, and a command looks, unless told otherwise.
const DefaultAddress = "127.0.0.1:8480"

// answerBytesMax bounds an answer.
const answerBytesMax = 64 << 20

// Options say how to reach a daemon. All are optional.
type Options struct {
	Address     string // HOST:PORT or a URL
	Data        string // data folder of the daemon, which holds its address and token
	Token       string // bearer token
	Certificate []byte // PEM; of the daemon itself or of an authority to trust, for https addresses
}

// Client calls one daemon. Safe for concurrent use.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New finds the daemon: by Data when given, else at Address, else at DefaultAddress. Token and certificate of a daemon of
// the same user are found in its run files.
func New(opt Options) (*Client, error) {
	if opt.Data != "" && opt.Address == "" {
		d, err := runfile.InFolder(opt.Data)
		if err != nil {
			return nil, api.Advise(fmt.Errorf("%w: %w", api.ErrUnavailable, err), "start it with: weir up --data %s", opt.Data)
		}
		opt.Address = d.Addresses.Admin
		opt.adopt(d)
	}
	if opt.Address == "" {
		opt.Address = DefaultAddress
	}
	host, err := hostOf(opt.Address)
	if err != nil {
		return nil, err
	}
	if d, err := runfile.At(host); err == nil {
		opt.adopt(d)
	}
	c := &Client{base: strings.TrimSuffix(opt.Address, "/"), token: opt.Token}
	if !strings.Contains(c.base, "://") {
		c.base = "http://" + c.base
		if len(opt.Certificate) > 0 {
			c.base = "https://" + host
		}
	}
	conf, err := trust(opt.Certificate)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSClientConfig:     conf,
		TLSHandshakeTimeout: 5 * time.Second,
		IdleConnTimeout:     30 * time.Second,
	}}
	return c, nil
}

// adopt takes from run files what was not given.
func (o *Options) adopt(d runfile.Daemon) {
	if o.Token == "" {
		o.Token = d.Token
	}
	if len(o.Certificate) == 0 {
		o.Certificate = d.Certificate
	}
}

// hostOf returns the HOST:PORT of an address or URL.
func hostOf(address string) (string, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("%w: admin address %q is neither HOST:PORT nor a URL", api.ErrInvalid, address)
	}
	return u.Host, nil
}

// trust returns a configuration that accepts exactly the daemon whose certificate is given, under any name; or, when an
// authority's certificate is given, whatever it has signed; without any, what the machine trusts.
func trust(certificate []byte) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS13}
	if len(certificate) == 0 {
		return conf, nil
	}
	block, _ := pem.Decode(certificate)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no certificate in what was given as one")
	}
	pinned, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	if pinned.IsCA {
		conf.RootCAs = x509.NewCertPool()
		conf.RootCAs.AddCert(pinned)
		return conf, nil
	}
	conf.InsecureSkipVerify = true // replaced by the comparison below
	conf.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 || !s.PeerCertificates[0].Equal(pinned) {
			return errors.New("the daemon's certificate is not the one that is trusted")
		}
		return nil
	}
	return conf, nil
}

// Address returns the URL of the daemon.
func (c *Client) Address() string { return c.base }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call sends in, when not nil, and decodes the answer into out, when not nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	resp, err := c.send(ctx, method, path, "application/json", in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return decodeAnswer(resp, out)
}

func decodeAnswer(resp *http.Response, out any) error {
	body := io.LimitReader(resp.Body, answerBytesMax)
	if resp.StatusCode >= http.StatusMultipleChoices {
		return problem(resp.StatusCode, body)
	}
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return fmt.Errorf("%w: answer of the daemon: %w", api.ErrInternal, err)
	}
	return nil
}

// send makes the request; the caller closes the body.
func (c *Client) send(ctx context.Context, method, path, accept string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	return resp, nil
}

// unreachable says what a person can do when there is no answer.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", api.ErrTimeout, context.Cause(ctx))
	}
	err = fmt.Errorf("%w: no answer from %s: %w", api.ErrUnavailable, c.base, rootCause(err))
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrDeadlineExceeded) {
		return api.Advise(err, "is the daemon running? start it with weir up, or name it with --admin or --data")
	}
	return err
}

// rootCause drops the URL that net/http puts before the cause; the address is named already.
func rootCause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// problem reads problem details; anything else is reported by its status.
func problem(status int, body io.Reader) error {
	var p api.Problem
	if err := json.NewDecoder(body).Decode(&p); err != nil || p.Title == "" {
		return fmt.Errorf("%w: the daemon answered %d %s", api.ErrInternal, status, http.StatusText(status))
	}
	return &p
}
