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

// MayPublish asks whether the user may commit offsets of the consumer group to which the query of this name publishes them. group is that
// group, "" if the query publishes to none; known is false where the broker does not say.
func (c *Client) MayPublish(ctx context.Context, queryName string) (group string, may, known bool, err error) {
	if group = c.opts.group(queryName); group == "" {
		return "", false, false, nil
	}
	ctx, cancel := adminContext(ctx)
	defer cancel()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{group}, true
	answer, err := c.kgo.Request(ctx, req)
	if err != nil {
		return group, false, false, c.adminProblem(ctx, "describe the consumer group", "", err, "")
	}
	resp := answer.(*kmsg.DescribeGroupsResponse)
	if len(resp.Groups) != 1 {
		return group, false, false, nil
	}
	g := resp.Groups[0]
	switch {
	case g.ErrorCode == kerr.GroupAuthorizationFailed.Code:
		return group, false, true, nil
	case resp.Version < describesOperations || g.AuthorizedOperations == operationsUnknown:
		return group, false, false, nil
	}
	return group, g.AuthorizedOperations&(1<<operationRead) != 0, true, nil
}
