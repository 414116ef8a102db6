package parts

import (
	"context"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
)

// azuritePackage is exact; what it depends on is taken as it was on that day.
const azuritePackage = "--before=2026-11-20 azurite@3.35.0"

// The account and the key that Microsoft publishes for the emulator.
const (
	AzuriteAccount = "devstoreaccount1"
	AzuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// An Azurite is Microsoft's emulator of Azure Blob Storage. It has no endpoint of ADLS Gen2.
type Azurite struct {
	URL string // of its account: http://127.0.0.1:PORT/devstoreaccount1

	emulator
}

// StartAzurite starts an emulator on a free port, which keeps its objects in dir, or in its memory if dir is "". Its log is in the directory
// for logs.
func StartAzurite(logs, dir string) (*Azurite, error) {
	const part = "Azurite"
	node, modules, err := javascript(part, "azurite", azuritePackage)
	if err != nil {
		return nil, err
	}
	e, err := startEmulator(part, logs, func(port string) *exec.Cmd {
		// Its check of API versions refuses those that are newer than itself, as azblob's is.
		cmd := exec.Command(node, filepath.Join(modules, "azurite", "dist", "src", "blob", "main.js"),
			"--skipApiVersionCheck", "--disableTelemetry", "--silent", "--blobHost", "127.0.0.1", "--blobPort", port)
		if dir == "" {
			cmd.Args = append(cmd.Args, "--inMemoryPersistence")
		} else {
			cmd.Args = append(cmd.Args, "--location", dir)
		}
		return cmd
	}, listens)
	if err != nil {
		return nil, err
	}
	return &Azurite{URL: "http://" + e.address + "/" + AzuriteAccount, emulator: e}, nil
}

// CreateContainer makes a container.
func (a *Azurite) CreateContainer(ctx context.Context, name string) error {
	key, err := container.NewSharedKeyCredential(AzuriteAccount, AzuriteKey)
	if err != nil {
		return err
	}
	c, err := container.NewClientWithSharedKeyCredential(a.URL+"/"+name, key, nil)
	if err != nil {
		return err
	}
	_, err = c.Create(ctx, nil)
	return err
}

// SAS returns a shared access signature for all that the account holds, which ends in an hour.
func (a *Azurite) SAS() (string, error) {
	key, err := container.NewSharedKeyCredential(AzuriteAccount, AzuriteKey)
	if err != nil {
		return "", err
	}
	q, err := sas.AccountSignatureValues{
		Protocol: sas.ProtocolHTTPSandHTTP, ExpiryTime: time.Now().Add(time.Hour).UTC(), ResourceTypes: "sco", Permissions: "rwdlc",
	}.SignWithSharedKey(key)
	return q.Encode(), err
}
