package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kafka's numbers of operations in a set of authorized ones (AclOperation), and the set of a broker that does not say.
const (
	operationRead       = 3
	operationsUnknown   = -2147483648
	describesOperations = 3 // the version of DescribeGroups from which a broker says
)

// MayPublish asks whether the user may commit offsets of a consumer group, such as Options.Group; known is false where the broker does not
// say.
func (c *Client) MayPublish(ctx context.Context, group string) (may, known bool, err error) {
	ctx, cancel := adminContext(ctx)
	defer cancel()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{group}, true
	answer, err := c.kgo.Request(ctx, req)
	if err != nil {
		return false, false, c.adminProblem(ctx, "describe the consumer group", "", err, "")
	}
	resp := answer.(*kmsg.DescribeGroupsResponse)
	if len(resp.Groups) != 1 {
		return false, false, nil
	}
	g := resp.Groups[0]
	switch {
	case g.ErrorCode == kerr.GroupAuthorizationFailed.Code:
		return false, true, nil
	case resp.Version < describesOperations || g.AuthorizedOperations == operationsUnknown:
		return false, false, nil
	}
	return g.AuthorizedOperations&(1<<operationRead) != 0, true, nil
}
